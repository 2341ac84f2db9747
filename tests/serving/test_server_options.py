"""TLS, sockets, further settings and files of options: as the command line gives them, on running servers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from certificates import Authority, Signed
from click.testing import CliRunner
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tiny_models import request

from serving.commands import serve
from serving.model_store import ModelStore
from serving.option_files import OptionError, parse_channel_arguments, read_metrics_path, read_tls, read_tokens
from serving.options import ServerOptions
from serving.server import Server

TIMEOUT_S = 20


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@contextmanager
def serving(half_path: Path, options: ServerOptions, rest_port: int | None = None) -> Iterator[Server]:
    with Server([ModelStore("half_plus_two", half_path)], "127.0.0.1", 0, rest_port, options=options) as server:
        yield server


def ask(channel: grpc.Channel) -> float:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    made = request("half_plus_two", "", x=np.zeros(1, np.float32))
    return float(stub.Predict(made, timeout=TIMEOUT_S).outputs["y"].float_val[0])


def ssl_config(file: Path, server: Signed, client_ca: str = "", verify: bool = False) -> Path:
    texts = {"server_key": server.key, "server_cert": server.certificate, "custom_ca": client_ca}
    lines = [f"{name}: {json.dumps(text)}" for name, text in texts.items()] + [f"client_verify: {str(verify).lower()}"]
    file.write_text("\n".join(lines))
    return file


def test_tls(half_path: Path, tmp_path: Path, authority: Authority) -> None:
    options = ServerOptions(tls=read_tls(ssl_config(tmp_path / "ssl", authority.sign("localhost"))))
    with serving(half_path, options) as server:
        trusted = grpc.ssl_channel_credentials(authority.certificate.encode())
        with grpc.secure_channel(f"localhost:{server.grpc_port}", trusted) as channel:
            assert ask(channel) == 2.0
        for credentials in (grpc.ssl_channel_credentials(Authority().certificate.encode()), None):
            address = f"localhost:{server.grpc_port}"
            opened = grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address)
            with opened as channel, pytest.raises(grpc.RpcError) as caught:
                ask(channel)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_mutual_tls(half_path: Path, tmp_path: Path, authority: Authority) -> None:
    file = ssl_config(tmp_path / "ssl", authority.sign("localhost"), authority.certificate, verify=True)
    with serving(half_path, ServerOptions(tls=read_tls(file))) as server:

        def credentials(client: Signed | None) -> Any:
            pair = (client.key.encode(), client.certificate.encode()) if client else (None, None)
            return grpc.ssl_channel_credentials(authority.certificate.encode(), *pair)

        with grpc.secure_channel(f"localhost:{server.grpc_port}", credentials(authority.sign("shop"))) as channel:
            assert ask(channel) == 2.0
        for client in (None, Authority().sign("stranger")):
            with grpc.secure_channel(f"localhost:{server.grpc_port}", credentials(client)) as channel:
                with pytest.raises(grpc.RpcError) as caught:
                    ask(channel)
                assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_unix_socket_and_further_settings(half_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    arguments = parse_channel_arguments("grpc.max_receive_message_length=1000, grpc.primary_user_agent = x")
    with (
        serving(half_path, ServerOptions(socket_path=str(path), channel_arguments=arguments)) as server,
        grpc.insecure_channel(f"unix:{path}") as channel,
        grpc.insecure_channel(server.grpc_address) as other,
    ):
        assert ask(channel) == ask(other) == 2.0
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="larger than max"):
            stub.Predict(request("half_plus_two", "", x=np.zeros(1000, np.float32)), timeout=TIMEOUT_S)


def test_other_sites_and_the_place_of_metrics(half_path: Path, tmp_path: Path) -> None:
    (tmp_path / "on").write_text('prometheus_config { enable: true path: "/numbers" }')
    (tmp_path / "off").write_text("prometheus_config {}")
    options = ServerOptions(cors=True, metrics_path=read_metrics_path(tmp_path / "on"))
    with (
        serving(half_path, options, rest_port=0) as server,
        httpx.Client(base_url=f"http://{server.rest_address}") as http,
    ):
        assert ":tensorflow:serving:request_count" in http.get("/numbers").text
        assert http.get(ServerOptions.metrics_path).status_code == 404
        headers = {"origin": "https://shop.example", "access-control-request-method": "POST"}
        allowed = http.options("/v1/models/half_plus_two:predict", headers=headers)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "*")
    assert read_metrics_path(tmp_path / "off") == ""


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_tokens, "a b c", ":1: expected NAME TOKEN, got 3 words"),
        (read_tokens, "a x\na y", ":2: the name 'a' stands twice"),
        (read_tokens, "# nobody", "holds no token"),
        (read_tls, "server_key: 'x'", "server_key: expected a PEM text"),
        (read_tls, "server_kez: 'x'", "is no text of a SSLConfig"),
        (read_metrics_path, "\x00", "is no text of a MonitoringConfig"),
        (read_tls, b"\xff", "is no text in UTF-8"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, read: Any, text: str | bytes, message: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(OptionError) as caught:
        read(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


def test_tokens_and_arguments_are_read(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "tokens").write_text("# who asks\nshop abc # since May\n\nother x=y\n")
    assert read_tokens(tmp_path / "tokens") == {"shop": "abc", "other": "x=y"}
    assert parse_channel_arguments("a=-1,b=c") == (("a", -1), ("b", "c"))
    with pytest.raises(OptionError, match="'b': expected NAME=VALUE"):
        parse_channel_arguments("a=1,b")
    file = ssl_config(tmp_path / "ssl", authority.sign("localhost"), verify=True)
    with pytest.raises(OptionError, match="client_verify needs custom_ca"):
        read_tls(file)


def flags_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    """Runs the command up to where it would serve; returns what it would serve."""
    seen: list[Any] = []
    monkeypatch.setattr(serve, "_serve", lambda deployment, _stop, **_others: seen.append(deployment))
    result = CliRunner().invoke(serve.command, [*words, "--port=0", "--rest_api_port", "0"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return seen[0], result.stderr


def test_the_stock_servers_flags_are_understood(
    monkeypatch: pytest.MonkeyPatch, half_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "batching").write_text("max_batch_size { value: 8 }")
    deployment, stderr = flags_of(
        monkeypatch,
        f"--model_base_path={half_path}",
        "--model_name=half",
        "--enable_batching",
        f"--batching_parameters_file={tmp_path / 'batching'}",
        "--enable_model_warmup=false",
        "--rest_api_enable_cors_support",
        "--rest_api_timeout_in_ms=1500",
        "--tensorflow_session_parallelism=3",
        "--grpc_max_threads=7",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=2000",
        "--file_system_poll_wait_seconds=5",
        "--max_num_load_retries",
        "2",
        "--flush_filesystem_caches",
    )
    assert (deployment.model.name, deployment.model.base_path) == ("half", half_path)
    options = deployment.options
    assert (options.batching.max_rows, options.cors, options.rest_timeout_s, options.grpc_threads) == (8, True, 1.5, 7)
    assert options.channel_arguments == (("grpc.max_connection_age_ms", 2000),)
    assert (deployment.warm, deployment.threads, deployment.version_poll_s) == (False, 3, 5.0)
    assert "--max-num-load-retries changes nothing here" in stderr


def test_a_configuration_file_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, half_path: Path, tmp_path: Path
) -> None:
    file = tmp_path / "models.config"
    file.write_text(f'model_config_list {{ config {{ name: "a" base_path: "{half_path}" }} }}')
    deployment, _ = flags_of(
        monkeypatch, f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=3", "--max-k=50"
    )
    assert [model.name for model in deployment.models()] == ["a"]
    assert (deployment.config_poll_s, deployment.options.limits.k) == (3.0, 50)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--model_config_fil", "x"],
            "No such option '--model-config-fil'. (Did you mean one of: '--model-config-file',",
        ),
        (["--grpc_channel_arguments=a", "."], "'a': expected NAME=VALUE"),
        (["--workers=2", "--grpc_socket_path=x", "."], "one process owns the socket"),
        (["--enable_batching=maybe", "."], "is not a valid boolean"),
    ],
)
def test_wrong_flags(words: list[str], message: str) -> None:
    result = CliRunner().invoke(serve.command, words, catch_exceptions=False)
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.stderr.split())
