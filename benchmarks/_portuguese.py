"""README's table of figures in Portuguese: its words, and its numbers with a comma."""

import re

WORDS = {
    "beside it, and how many times ours": "ao lado, e quantas vezes o nosso",
    "not measured": "não medido",
    "Debian has no package of it, and the Go module proxy does not have the module of its command": "não há pacote no "
    "Debian, e o proxy de módulos do Go não tem o módulo do comando",
    "the Go module proxy refuses modules that one with the host's metrics needs": "o proxy de módulos do Go recusa "
    "módulos de que um com as métricas do host precisa",
    "it is not on PATH": "não está no PATH",
    "one event, as the script sees it": "um evento, visto pelo script",
    ", two events": ", dois eventos",
    "of 20 boxes, with its event": "de 20 caixas, com seu evento",
    "of 1 kB, with its event": "de 1 kB, com seu evento",
    "reading the journal, to the committed count": "leitura do journal, até a contagem gravada",
    "a scrape with": "uma coleta com",
    "RSS with": "RSS com",
    "the idle exporter": "o exporter ocioso",
    "the idle stack: PSS of all": "a pilha ociosa: PSS de tudo",
    "memory kept": "memória mantida",
    "memory of the whole stack": "memória da pilha inteira",
    "share of a core": "parte de um núcleo",
    "written to flash in an hour": "gravado em flash por hora",
    "on one disk": "em um disco",
    "an event a second": "um evento por segundo",
    "lost of": "perdidos, de",
    "events in a burst": "eventos em rajada",
    "events": "eventos",
    "the script killed": "com kill do script",
    "the collector killed": "com kill do coletor",
    "an essential container dies": "um contêiner essencial morre",
    "a container dies after another": "um contêiner morre depois de outro",
    "a container dies": "um contêiner morre",
    "a stage fails": "uma etapa falha",
    "an ERROR of send_alert": "um ERROR de send_alert",
    "a CRITICAL of send_alert": "um CRITICAL de send_alert",
    "a script is killed in a stage": "um kill do script em uma etapa",
    "a document is refused": "um documento é recusado",
    "a signature is refused": "uma assinatura é recusada",
    "an exception": "uma exceção",
    ", at ": ", até ",
    "containers": "contêineres",
    "samples": "amostras",
    "without rules": "sem regras",
    "which keeps nothing": "que não guarda nada",
    "multiprocess": "multiprocesso",
    "counter": "contador",
    "in a batch": "em lote",
    "busy": "ocupado",
    "idle": "ocioso",
    "alone": "sozinho",
    "cores": "núcleos",
    "load": "carga",
    "before and": "antes e",
    "after": "depois",
}
_LONGEST_FIRST = "|".join(re.escape(words) for words in sorted(WORDS, key=len, reverse=True))
_CODE_OR_WORDS = re.compile(rf"`[^`]*`|(?:\b|(?=,))(?:{_LONGEST_FIRST})(?!\w)")
_NUMBER = re.compile(r"\d[\d.,]*\d")
_SIGNS = str.maketrans(",.", ".,")


def portuguese(row: str) -> str:
    """A row of the table in Portuguese. Numbers of versions stay: they stand in headings and reasons alone."""
    translated = _CODE_OR_WORDS.sub(lambda found: WORDS.get(found[0], found[0]), row)
    if "**" in row or "not measured" in row:
        return translated
    return _NUMBER.sub(lambda found: found[0].translate(_SIGNS), translated)
