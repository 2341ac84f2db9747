"""The files and texts that set a server's options, as its command line names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import text_format

from serving.messages import MonitoringConfig, SSLConfig
from serving.options import ServerOptions, TlsKeys


class OptionError(ValueError):
    """A file or text that cannot be used; the message names it, what is wrong, and what was expected."""


def read_tokens(file: Path) -> dict[str, str]:
    """Reads bearer tokens.

    Args:
      file: one client a line, `NAME TOKEN`; `#` begins a comment.

    Returns:
      Name: token.

    Raises:
      OptionError: if a line is neither, or a name stands twice.
    """
    tokens: dict[str, str] = {}
    for number, line in enumerate(_text(file).splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2:
            raise OptionError(f"{file}:{number}: expected NAME TOKEN, got {len(words)} words")
        if words[0] in tokens:
            raise OptionError(f"{file}:{number}: the name '{words[0]}' stands twice; give each client its own")
        tokens[words[0]] = words[1]
    if not tokens:
        raise OptionError(f"{file}: holds no token; expected lines of NAME TOKEN")
    return tokens


def read_tls(file: Path) -> TlsKeys:
    """Reads an SSLConfig, a text proto with the PEM texts in it.

    Raises:
      OptionError: if it is none, or a key is missing.
    """
    config = _message(file, SSLConfig())
    for name in ("server_key", "server_cert"):
        if "-----BEGIN" not in getattr(config, name):
            raise OptionError(
                f"{file}: {name}: expected a PEM text, -----BEGIN ...; got {len(getattr(config, name))} letters"
            )
    if config.client_verify and not config.custom_ca:
        raise OptionError(f"{file}: client_verify needs custom_ca, the PEM text of who signs the clients' certificates")
    return TlsKeys(config.server_key, config.server_cert, config.custom_ca, config.client_verify)


def read_metrics_path(file: Path) -> str:
    """Reads a MonitoringConfig.

    Returns:
      The path of the metrics page, "" if there shall be none.

    Raises:
      OptionError: if it is none.
    """
    config = _message(file, MonitoringConfig()).prometheus_config
    if not config.enable:
        return ""
    path: str = config.path or ServerOptions.metrics_path
    return path if path.startswith("/") else f"/{path}"


def parse_channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    """Reads `name=value,name=value`; whole numbers are numbers.

    Raises:
      OptionError: if a part is not that.
    """
    made: list[tuple[str, int | str]] = []
    for part in filter(None, text.split(",")):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not (name and equals):
            raise OptionError(f"'{part}': expected NAME=VALUE, for example grpc.max_connection_age_ms=2000")
        made.append((name, int(value) if value.removeprefix("-").isdecimal() else value))
    return tuple(made)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise OptionError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{file}: is no text in UTF-8") from error


def _message(file: Path, message: Any) -> Any:
    try:
        return text_format.Parse(_text(file), message)
    except text_format.ParseError as error:
        raise OptionError(f"{file}: is no text of a {message.DESCRIPTOR.name}: {error}") from error
