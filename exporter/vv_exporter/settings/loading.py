"""Reading it all: the environment, `vv.yml`, the files of secrets."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from vv_core.common.environment import text as text_of
from vv_core.common.texts import label
from vv_exporter.common.smallfiles import read_small
from vv_exporter.settings import checks, fleet_config
from vv_exporter.settings import parsers as parse
from vv_exporter.settings.catalogue import OTHER_VARIABLES, STAGE_LIMITS, Settings, Variable, variables
from vv_exporter.settings.sections import (
    ConfigFile,
    ContainersSettings,
    DvrSettings,
    FootageSettings,
    JobSettings,
    SelfMonitorSettings,
    StageSettings,
)
from vv_exporter.settings.values import Duration, Dvr

S = TypeVar("S", bound=msgspec.Struct)

MAX_CONFIG_BYTES = 1 << 20
MAX_SECRET_BYTES = 64 << 10
DEFAULT_CONFIG = Path("/etc/vv/vv.yml")

_QUOTED = re.compile(r"'(?!\\t')[^']*'|\"[^\"]*\"")
"""What PyYAML quotes in a message; a tab, which nobody sees, is left."""


class SettingsError(Exception):
    """The configuration cannot be used. `problems` are lines that each name a key and the cure."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def load(environ: Mapping[str, str] | None = None, *, secrets: bool = True) -> Settings:
    """Read and check the environment and `vv.yml`. Raises `SettingsError` with everything that is wrong.

    Without `secrets`, those are left out, and the files that hold them are not touched: for a program that needs none,
    and runs as a user who may not read them.

    What the centre of a fleet said last is part of it. Where that does not go together with what stands here any more,
    it is left out: a device goes on with what it has of itself.
    """
    environ = os.environ if environ is None else environ
    settings = _load_settings(environ, secrets, None)
    kept = fleet_config.usable_kept(settings)
    if kept is not None:
        with contextlib.suppress(SettingsError):
            return _load_settings(environ, secrets, kept)
    return settings


def load_with_fleet_config(environ: Mapping[str, str], kept: fleet_config.KeptConfig) -> Settings:
    """The settings as they would be with this from the centre. Raises `SettingsError` with everything that is wrong."""
    return _load_settings(environ, True, kept)


def _load_settings(environ: Mapping[str, str], secrets: bool, kept: fleet_config.KeptConfig | None) -> Settings:
    problems: list[str] = []
    file = _read_file(environ, problems)
    if kept is not None:
        file = fleet_config.merged(file, _parse_fleet_config(kept.config, problems))
    known = variables()
    names = {variable.name for variable in known.values()} | OTHER_VARIABLES
    names |= {f"{variable.name}_FILE" for variable in known.values() if variable.secret}
    problems += checks.misspelt(environ, file.settings, names)
    given = _settings_as_texts(file.settings, problems) | {
        name: environ[name] for name in names if text_of(name, environ)
    }
    values: dict[str, Any] = {}
    for attribute, variable in known.items():
        try:
            values[attribute] = _value_of(variable, given if secrets or not variable.secret else {})
        except (ValueError, OSError) as error:
            problems.append(f"{variable.name}: {error}")
        except Exception as error:  # its text may quote a secret
            problems.append(f"{variable.name}: cannot be understood ({type(error).__name__})")
    sections = _load_sections(file, values, problems, secrets)
    read = {name for name, variable in known.items() if secrets or not variable.secret}
    problems += checks.contradictions({name: value for name, value in values.items() if name in read})
    if problems:
        raise SettingsError(problems)
    return Settings(**values, **sections, fleet_config_version=kept.version if kept is not None else 0)


def secret_files(environ: Mapping[str, str] | None = None) -> dict[str, Path]:
    """The files that hold secrets, by the key that names each; vv.yml (`VV_CONFIG`) is one if a secret stands in it."""
    environ = os.environ if environ is None else environ
    secrets = [variable.name for variable in variables().values() if variable.secret]
    file = _read_file(environ, [])
    settings = _settings_as_texts(file.settings, [])
    given = {f"{name}_FILE": text_of(f"{name}_FILE", environ) or text_of(f"{name}_FILE", settings) for name in secrets}
    files = {name: _expand_home(path) for name, path in given.items() if path}
    dvrs = _convert_items("dvrs", file.dvrs, DvrSettings, [])
    files |= {f"dvrs.{name}.password_file": Path(dvr.password_file) for name, dvr in dvrs.items() if dvr.password_file}
    if any(name in settings for name in secrets):
        files["VV_CONFIG"] = _expand_home(text_of("VV_CONFIG", environ) or str(DEFAULT_CONFIG))
    return files


def _settings_as_texts(settings: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    """The section `settings` as an environment."""
    texts = {}
    for name, value in settings.items():
        try:
            texts[name] = _scalar_text(value)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    return texts


def _value_of(variable: Variable, given: Mapping[str, str]) -> Any:
    default = variable.default if isinstance(variable.default, str) else variable.default()
    text = text_of(variable.name, given)
    path = text_of(f"{variable.name}_FILE", given) if variable.secret else ""
    if text and path:
        raise ValueError(f"{variable.name} and {variable.name}_FILE are both set; keep one")
    if path:
        text = _read_secret(f"{variable.name}_FILE", path)
    return variable.parse(text or default)


def _expand_home(path: str) -> Path:
    """``~`` is the user's home, if there is such a user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's raises


def _read_secret(key: str, path: str) -> str:
    try:
        # Some editors begin a file with a byte order mark, which is no part of a password.
        text = read_small(_expand_home(path), MAX_SECRET_BYTES, follow=True).decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{key}: {path} is not text; it must hold the secret alone") from None
    except OSError as error:
        raise ValueError(f"{key}: {path} cannot be read ({error.strerror}); name a file that can") from None
    if not text:
        raise ValueError(f"{key}: {path} is empty; put the secret into it")
    return text


def _read_file(environ: Mapping[str, str], problems: list[str]) -> ConfigFile:
    named = text_of("VV_CONFIG", environ)
    path = _expand_home(named) if named else DEFAULT_CONFIG
    if not named and not path.exists():
        return ConfigFile()
    try:
        content = load_yaml(read_small(path, MAX_CONFIG_BYTES, follow=True), _Config)
    except OSError as error:
        problems.append(f"VV_CONFIG: {path} cannot be read ({error.strerror}); name a file that can, or unset it")
    except yaml.YAMLError as error:
        problems.append(f"VV_CONFIG: {path} is not valid YAML: {error}")
    else:
        return _config_file(content, f"VV_CONFIG: {path}", problems)
    return ConfigFile()


def _parse_fleet_config(text: str, problems: list[str]) -> ConfigFile:
    where = fleet_config.WHERE
    encoded = text.encode(errors="surrogatepass")
    costly = fleet_config.find_costly_yaml(encoded)
    if costly:
        problems.append(f"{where} {costly}")
        return ConfigFile()
    try:
        content = load_yaml(encoded, _Config)
    except yaml.YAMLError as error:
        problems.append(f"{where} is not valid YAML: {error}")
        return ConfigFile()
    file = _config_file(content, where, problems)
    problems += fleet_config.forbidden_keys(file)
    return file


def _config_file(content: Any, where: str, problems: list[str]) -> ConfigFile:
    """Section by section: one that is wrong hides nothing of what is wrong in others."""
    given: dict[Any, Any] = content if isinstance(content, dict) else {None: content} if content is not None else {}
    file = ConfigFile()
    for name, section in given.items():
        try:
            one = msgspec.convert({name: section}, ConfigFile)
            file = msgspec.structs.replace(file, **{name: getattr(one, name)})
        except (msgspec.ValidationError, UnicodeEncodeError, TypeError) as error:
            what = _plain_error(error) if isinstance(content, dict) else "holds no sections"
            problems.append(f"{where}: {what}; its sections are {', '.join(ConfigFile.__struct_fields__)}")
    return file


def load_yaml(text: bytes, loader: type[yaml.SafeLoader] | None = None) -> Any:
    """What a YAML document says. Raises `yaml.YAMLError`, a line with the place, which quotes nothing.

    For any of it may be a secret. PyYAML quotes the line, and names that stand for others; and it lets through what is
    wrong with a date, a number, a depth.
    """
    try:
        return yaml.load(text.decode(), Loader=loader or _UniqueKeys)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark, _QUOTED.sub("…", error.problem or "")
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise yaml.YAMLError(f"{place}{problem}") from None
    except Exception as error:
        raise yaml.YAMLError(f"something in it cannot be read ({type(error).__name__})") from None


class _UniqueKeys(yaml.SafeLoader):
    """YAML 1.2 forbids a key that stands twice; PyYAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key}", key_node.start_mark)
            seen.add(key if isinstance(key, str) else id(key_node))
        return super().construct_mapping(node, deep)


class _Config(_UniqueKeys):
    """In the section `settings` all is text, as in an environment.

    YAML 1.1 reads `07:00` as 420, `01234567` as 342391 and `off` as false.
    """

    def construct_document(self, node: yaml.Node) -> Any:
        for key, section in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value == "settings" and isinstance(section, yaml.MappingNode):
                section.value = [(name, self._as_text(value)) for name, value in section.value]
        return super().construct_document(node)

    def _as_text(self, node: yaml.Node) -> yaml.Node:
        """What was written without a tag and quotes; nothing is none."""
        if not isinstance(node, yaml.ScalarNode):
            return node
        plain = self.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
        if node.tag != plain or plain == _NULL:
            return node
        return yaml.ScalarNode(_TEXT, node.value, node.start_mark, node.end_mark)


_TEXT, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"


def _scalar_text(value: Any) -> str:
    """A single value as it would stand in the environment. Raises `ValueError` for others."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict | set | tuple | bytes):
        raise ValueError("must be a single value")  # noqa: TRY004 - it is what stands in the file that is wrong
    text = "" if value is None else str(value)
    if not text.isascii():
        text.encode()  # what cannot be written cannot be meant
    return text


def _load_sections(file: ConfigFile, values: Mapping[str, Any], problems: list[str], secrets: bool) -> dict[str, Any]:
    stages = _convert_items("stages", file.stages, StageSettings, problems)
    for stage, attribute in STAGE_LIMITS.items():
        if values.get(attribute) is not None:
            limit = Duration(values[attribute])
            stages[stage] = msgspec.structs.replace(stages.get(stage, StageSettings()), limit=limit)
    jobs = _convert_items("jobs", file.jobs, JobSettings, problems)
    for name, job in jobs.items():
        problems += [f"jobs.{name}{problem}" for problem in checks.job_problems(job)]
    containers = _convert_item("containers", file.containers or {}, ContainersSettings, problems)
    self_monitor = _convert_item("self_monitor", file.self_monitor or {}, SelfMonitorSettings, problems)
    dvrs = _load_dvrs(file.dvrs, values, problems) if secrets else {}
    footage = _convert_items("footage", file.footage, FootageSettings, problems)
    for name, camera in footage.items():
        problems += [f"footage.{name}{problem}" for problem in checks.footage_problems(name, camera)]
    if any(camera.files for camera in footage.values()) and values.get("video_storage_root") is None:
        problems.append("VIDEO_STORAGE_ROOT: is not set, but footage in vv.yml has files, which lie below it; set it")
    return {
        "stages": stages,
        "jobs": jobs,
        "containers": containers or ContainersSettings(),
        "self_monitor": self_monitor or SelfMonitorSettings(),
        "dvrs": dvrs,
        "footage": footage,
    }


def _load_dvrs(section: Mapping[str, Any], values: Mapping[str, Any], problems: list[str]) -> dict[str, Dvr]:
    """Those of the file, and the one of the environment, which is named `dvr` and wins."""
    dvrs = {}
    for name, item in _convert_items("dvrs", section, DvrSettings, problems).items():
        try:
            parse.label(name)
            password = _read_secret("password_file", item.password_file) if item.password_file else ""
            dvrs[name] = parse.dvr(item.url, item.username, password, interval=item.interval, timeout=item.timeout)
        except ValueError as error:
            problems.append(f"dvrs.{name}: {error}")
    if any(f"dvr_{part}" not in values for part in ("url", "ip", "username", "password")):
        return dvrs  # said already
    url, username, password = values["dvr_url"].value, values["dvr_username"], values["dvr_password"].value
    url = url or (f"rtsp://{values['dvr_ip']}" if values["dvr_ip"] else "")
    try:
        if url:
            dvrs["dvr"] = parse.dvr(url, username, password)
        elif username or password:
            problems.append("DVR_URL: is not set, but a user or password for it is; set it, or use dvrs in vv.yml")
    except ValueError as error:
        problems.append(f"DVR_PASSWORD: {error}")
    return dvrs


def _convert_items(section: str, items: Mapping[str, Any], type_: type[S], problems: list[str]) -> dict[str, S]:
    converted = {
        label(name): _convert_item(f"{section}.{name}", item or {}, type_, problems) for name, item in items.items()
    }
    return {name: item for name, item in converted.items() if item is not None}


def _convert_item(key: str, item: Any, type_: type[S], problems: list[str]) -> S | None:
    try:
        return msgspec.convert(item, type_, dec_hook=_decode_custom)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        what = "; ".join(_problems_by_key(item, type_) or [_plain_error(error)])
        problems.append(f"{key}: {what}; known keys: {', '.join(type_.__struct_fields__)}")
        return None


def _problems_by_key(item: Any, type_: type[msgspec.Struct]) -> list[str]:
    """All that is wrong with a mapping: msgspec itself names the first only."""
    if not isinstance(item, dict):
        return []
    fields = {one.encode_name: one for one in msgspec.structs.fields(type_)}
    found = [f"unknown key `{key}`" for key in item if key not in fields]
    found += [f"missing required field `{name}`" for name, one in fields.items() if one.required and name not in item]
    for name in [name for name in fields if name in item]:
        try:
            msgspec.convert(item[name], fields[name].type, dec_hook=_decode_custom)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            found.append(_locate_problem(_plain_error(error), name))
    return found


def _locate_problem(problem: str, key: str) -> str:
    """A problem of a value, as one of the mapping that has it by `key`."""
    within = problem.replace(" - at `$", f" - at `$.{key}")
    return within if within != problem else f"{problem} - at `$.{key}`"


def _decode_custom(type_: type, value: Any) -> Any:
    if type_ is Duration:
        return Duration(parse.duration(_scalar_text(value)))
    raise NotImplementedError(f"no decoder for {type_}")


def _plain_error(error: Exception) -> str:
    return str(error).replace("Object contains unknown field", "unknown key").replace("Object missing", "missing")
