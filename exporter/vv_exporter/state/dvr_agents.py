"""The agents of DVRs: whose process was killed, and that no other has taken over.

An agent is known by what it reports. It has ended when it says so, and was killed when its writer is gone without that.
"""

from __future__ import annotations

import msgspec

from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.dvr import DVR_AGENT_UP
from vv_exporter.state.dvrs import MAX_LINKS, count_lost
from vv_exporter.state.failures import Failure, remember
from vv_exporter.state.runs import writer_of
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

KILLED = translatable(
    "its process died unexpectedly (killed, out of memory, power lost, or an exception that nothing handled)"
)


class Agent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A process that gets a DVR's stream. `replaced`: another one has reported since."""

    dvr: str
    writer: str
    component: str
    replaced: bool = False


AGENTS: Kind[Agent] = Kind(
    "dvr_agent", Agent, MAX_LINKS, DVR_AGENT_UP, lambda agent: agent.dvr, lambda agent: int(not agent.replaced)
)
GONE_AGENTS: Kind[Agent] = Kind("dvr_agent_gone", Agent, MAX_LINKS, DVR_AGENT_UP, lambda agent: agent.dvr)
"""By DVR: the agent that was killed, as long as no other takes over."""


def saw_agent(tx: Transaction, dvr: str, writer: str, component: str) -> None:
    """An agent reported: it is at work, and whoever was before it need not be missed."""
    tx.delete(GONE_AGENTS, dvr)
    known = tx.get(AGENTS, _agent_key(dvr, writer))
    if known is not None and not known.replaced:
        return
    for key, other in tx.having(AGENTS, _dvr_of, dvr).items():
        if other.writer != writer and not other.replaced:
            tx.put(AGENTS, key, msgspec.structs.replace(other, replaced=True))
    tx.put(AGENTS, _agent_key(dvr, writer), Agent(dvr, writer, component))


def end_agent(tx: Transaction, dvr: str, writer: str) -> None:
    """An agent said that it ended; or somebody that the DVR is to have none any more."""
    tx.delete(AGENTS, _agent_key(dvr, writer))
    tx.delete(GONE_AGENTS, dvr)


def miss_agents(tx: Transaction, writer: str, last_seen: float) -> None:
    """A process is gone: the agents that did not end before were killed with it."""
    for key, agent in tx.having(AGENTS, writer_of, writer).items():
        tx.delete(AGENTS, key)
        count_lost(tx, agent.dvr, "agent")
        title = sentence("The agent of DVR {dvr} was killed", dvr=agent.dvr)
        add_to_timeline(tx, last_seen, Entry("dvr.agent_gone", title, "error", agent.component, sentence(KILLED)))
        if not agent.replaced:
            tx.put(GONE_AGENTS, agent.dvr, agent)
            remember(tx, Failure(agent.component, f"dvr_agent:{agent.dvr}", last_seen, error=_(KILLED)))


def agents_up(store: Store) -> dict[str, bool]:
    """By DVR: whether an agent is at work, or was killed."""
    gone = dict.fromkeys(store.docs(GONE_AGENTS), False)
    return gone | dict.fromkeys((agent.dvr for agent in store.docs(AGENTS).values()), True)


def _dvr_of(agent: Agent) -> str:
    return agent.dvr


def _agent_key(dvr: str, writer: str) -> str:
    return f"{writer}\n{dvr}"
