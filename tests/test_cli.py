"""The contract of the command line, with the model that comes with the codec."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from codec import cli as module
from codec.cli import cli
from codec.container import unpack
from codec.errors import Desync
from codec.pixels import Image, read_image, write_image
from tests.checks import ROOT

HEIGHT, WIDTH = 40, 56
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def sample(channels: int = 3) -> np.ndarray:
    """A smooth picture with a little noise, uint8, (40, 56, channels)."""
    y, x, c = np.ogrid[:HEIGHT, :WIDTH, :channels]
    noise = np.random.default_rng(0).normal(0, 3, (HEIGHT, WIDTH, channels))
    return np.clip(128 + 80 * np.sin(x / 9 + c) * np.cos(y / 7) + noise, 0, 255).astype(np.uint8)


def engram(*arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False)


def done(*arguments: object, stdin: bytes = b"") -> Result:
    result = engram(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result


def failed(code: int, *arguments: object, stdin: bytes = b"") -> str:
    """What a command says that ends with this exit code."""
    result = engram(*arguments, stdin=stdin)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.stderr


MAIN = "import codec.cli; codec.cli.main()"


def process(*arguments: str, program: str = MAIN, **options: object) -> subprocess.Popen:
    """The command as a process of its own, with pipes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT} | options
    return subprocess.Popen([sys.executable, "-c", program, *arguments], **options)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder: empty but for photo.png."""
    monkeypatch.chdir(tmp_path)
    write_image(Image(sample()), "photo.png")
    return tmp_path


@pytest.fixture
def stream(folder) -> Path:
    done("compress", "photo.png")
    return folder / "photo.egm"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_there_and_back(folder):
    assert "photo.png -> photo.egm" in done("compress", "photo.png").stdout
    assert "photo.egm -> back.png: 56 x 40" in done("decompress", "photo.egm", "-o", "back.png").stdout
    error = read_image("back.png").colour.astype(float) - sample()
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 25
    assert (folder / "photo.egm").stat().st_size < (folder / "photo.png").stat().st_size
    assert names(folder) == ["back.png", "photo.egm", "photo.png"]


def test_the_default_outputs_are_beside_the_inputs(stream, folder):
    (folder / "photo.png").rename(folder / "original.png")
    done("decompress", "photo.egm")
    assert names(folder) == ["original.png", "photo.egm", "photo.png"]


def test_pipes_give_the_same_bytes_as_files(stream, folder):
    done("decompress", "photo.egm", "-o", "back.png")
    piped = done("compress", "-", stdin=(folder / "photo.png").read_bytes())
    assert piped.stdout_bytes == stream.read_bytes()
    assert "bpp" in piped.stderr
    assert done("decompress", "-", stdin=piped.stdout_bytes).stdout_bytes == (folder / "back.png").read_bytes()
    assert done("decompress", stream, "-o", "-").stdout_bytes == (folder / "back.png").read_bytes()


def test_several_inputs_go_to_a_folder(folder):
    write_image(Image(sample(1)), "grey.png")
    done("compress", "photo.png", "grey.png", "--output-dir", "out")
    assert names(folder / "out") == ["grey.egm", "photo.egm"]
    done("decompress", "out/grey.egm", "out/photo.egm", "--output-dir", "back")
    assert names(folder / "back") == ["grey.png", "photo.png"]
    assert read_image("back/grey.png").channels == 1


def test_a_batch_goes_on_after_failures_and_lists_them(stream, folder):
    (folder / "bad.egm").write_bytes(stream.read_bytes()[:-1])
    (folder / "other.egm").write_bytes(b"something else")
    told = failed(3, "decompress", "bad.egm", "other.egm", "photo.egm", "--output-dir", "back")
    assert names(folder / "back") == ["photo.png"]
    assert told.splitlines()[-1] == "engram: 2 of 3 failed: bad.egm, other.egm"
    failed(1, "test", "bad.egm", "none.egm")


def test_nothing_is_overwritten_without_force(stream, folder):
    before = stream.read_bytes()
    assert "-f" in failed(1, "compress", "photo.png", "-q", "10")
    assert stream.read_bytes() == before
    done("compress", "photo.png", "-q", "10", "-f")
    assert stream.read_bytes() != before
    original = (folder / "photo.png").read_bytes()
    assert "-f" in failed(1, "decompress", "photo.egm")
    assert "own input" in failed(1, "compress", "photo.png", "-o", "photo.png", "-f")
    assert (folder / "photo.png").read_bytes() == original


def test_quality_orders_sizes(folder):
    sizes = []
    for quality in (0, 50, 100):
        done("compress", "photo.png", "-o", "x.egm", "-f", "-q", quality)
        sizes.append((folder / "x.egm").stat().st_size)
    assert sizes == sorted(set(sizes))


def test_a_rate_or_a_psnr_can_be_asked_for(folder):
    def record(*arguments: object) -> dict:
        return json.loads(done("compress", "photo.png", "-o", "x.egm", "-f", "--json", *arguments).stdout)

    middle = record("-q", 50)
    assert record("--target-bpp", middle["bpp"])["bpp"] <= middle["bpp"]
    assert record("--target-psnr", middle["psnr"] - 0.5)["psnr"] >= middle["psnr"] - 0.5
    failed(1, "compress", "photo.png", "-o", "x.egm", "-f", "--target-bpp", "1e-6")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-q", "50", "--target-bpp", "1"],
        ["--target-psnr", "30", "--target-bpp", "1"],
        ["-q", "101"],
        ["-q", "nan"],
        ["--target-bpp", "0"],
        ["-e", "0"],
        ["-e", "10"],
        ["-T", "-1"],
        ["--max-pixels", "0"],
        ["--unknown"],
        ["-o", "-", "--json"],
        ["-o", "x.egm", "--output-dir", "out"],
    ],
)
def test_wrong_use_is_told_and_nothing_happens(folder, arguments):
    assert "Error: " in failed(2, "compress", "photo.png", *arguments)
    assert names(folder) == ["photo.png"]


def test_no_input_is_wrong_use(folder):
    for command in ("compress", "decompress", "info", "test"):
        failed(2, command)


def test_an_output_of_unknown_format_is_wrong_use(stream):
    assert "known are" in failed(2, "decompress", "photo.egm", "-o", "back.xyz")


@pytest.mark.parametrize("name", ["back.jpg", "back.webp", "back.tiff", "back.bmp", "back.ppm", "BACK.PNG"])
def test_the_extension_names_the_format(stream, folder, name):
    record = json.loads(done("decompress", "photo.egm", "-o", name, "--json").stdout)
    assert (record["width"], record["height"]) == (WIDTH, HEIGHT)
    assert read_image(name).colour.shape == (HEIGHT, WIDTH, 3)


def test_json_is_one_object_a_file(folder):
    result = engram("compress", "photo.png", "none.png", "--json", "--output-dir", "out")
    good, bad = map(json.loads, result.stdout.splitlines())
    size = (folder / "out" / "photo.egm").stat().st_size
    assert (good["bytes"], good["bpp"]) == (size, 8 * size / (WIDTH * HEIGHT))
    assert good["verified"] is True
    assert good["psnr"] > 25
    assert (bad["input"], bad["error"], bad["exit_code"]) == ("none.png", "FileNotFoundError", 1)


def test_verifying_is_the_default_and_can_be_left_out(folder):
    default = json.loads(done("compress", "photo.png", "--json").stdout)
    without = json.loads(done("compress", "photo.png", "--json", "--no-verify", "-f").stdout)
    assert (default["verified"], without["verified"]) == (True, False)
    assert default["bytes"] == without["bytes"]


def test_what_does_not_verify_is_not_written(folder, monkeypatch):
    def decode(*_, **__):
        raise Desync("other pixels")

    monkeypatch.setattr("codec.image.decode", decode)
    assert "other pixels" in failed(3, "compress", "photo.png")
    assert names(folder) == ["photo.png"]


def test_threads_and_effort_do_not_stop_a_file_from_decoding(folder):
    done("compress", "photo.png", "-o", "one.egm", "-T", 1)
    done("compress", "photo.png", "-o", "two.egm", "-T", 2)
    assert (folder / "one.egm").read_bytes() == (folder / "two.egm").read_bytes()
    done("compress", "photo.png", "-o", "fast.egm", "-e", 1)
    done("test", "one.egm", "fast.egm", "-T", 2)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda data: data[:-1], 3),
        (lambda data: data[:10], 3),
        (lambda data: b"", 3),
        (lambda data: b"GIF89a" + data, 3),
        (lambda data: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:], 3),
        (lambda data: data + b"\x00", 3),
        (lambda data: data[:4] + b"\x02" + data[5:], 3),
    ],
)
@pytest.mark.parametrize("command", ["decompress", "test"])
def test_damaged_files_have_an_exit_code_and_leave_nothing(stream, folder, command, damage, code):
    (folder / "bad.egm").write_bytes(damage(stream.read_bytes()))
    assert failed(code, command, "bad.egm").startswith("engram: bad.egm: ")
    assert names(folder) == ["bad.egm", "photo.egm", "photo.png"]


def test_limits_have_an_exit_code_and_name_the_option(stream, folder):
    for command, name in (("decompress", "photo.egm"), ("test", "photo.egm"), ("compress", "photo.png")):
        assert "--max-pixels" in failed(4, command, name, "--max-pixels", 100, *([] if command == "test" else ["-f"]))
    done("compress", "photo.png", "-f", "--max-pixels", WIDTH * HEIGHT)


def test_a_missing_model_has_an_exit_code(stream, folder):
    assert "nonesuch" in failed(5, "compress", "photo.png", "-m", "nonesuch", "-o", "x.egm")
    failed(5, "decompress", "photo.egm", "-m", "nonesuch", "-o", "x.png")
    assert names(folder) == ["photo.egm", "photo.png"]


def test_a_model_can_be_named_by_path_and_id(folder):
    lines = map(json.loads, done("models", "--json").stdout.splitlines())
    listed = next(line for line in lines if line["name"] == "photo")
    (folder / "mine.egmm").write_bytes((Path(module.__file__).parent / "models" / "photo.egmm").read_bytes())
    for model in ("mine.egmm", listed["model"], "photo"):
        done("compress", "photo.png", "-f", "-m", model)
        assert unpack((folder / "photo.egm").read_bytes())[0].model_id.hex() == listed["model"]
    done("test", "mine.egmm")
    assert json.loads(done("info", "mine.egmm", "--json").stdout)["model"] == listed["model"]


def test_models_are_listed():
    assert {line.split()[0] for line in done("models").stdout.splitlines()} == {"photo", "lossless", "digits", "video"}


def test_info_says_what_the_header_says(stream, folder):
    record = json.loads(done("info", "photo.egm", "--json").stdout)
    header, chunks = unpack(stream.read_bytes())
    assert (record["kind"], record["width"], record["height"], record["channels"]) == ("photo", WIDTH, HEIGHT, 3)
    assert (record["model"], record["digest"]) == (header.model_id.hex(), header.digest.hex())
    assert sum(chunk["count"] for chunk in record["chunks"].values()) == len(chunks)
    assert f"width      {WIDTH}" in done("info", "photo.egm").stdout
    assert done("info", "-", stdin=stream.read_bytes()).stdout.startswith("-: photo")
    failed(3, "info", "photo.png")


def test_testing_writes_nothing(stream, folder):
    assert done("test", "photo.egm").stdout == "photo.egm: ok\n"
    assert names(folder) == ["photo.egm", "photo.png"]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_alpha_and_metadata_come_back_exactly(folder, channels):
    image = Image.of(sample(channels))
    exif = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    write_image(Image(image.colour, image.alpha, b"a profile", exif), "photo.png", force=True)
    done("compress", "photo.png")
    done("decompress", "photo.egm", "-o", "back.png")
    back = read_image("back.png")
    assert (back.icc, back.exif, back.channels) == (b"a profile", exif, image.channels)
    assert (back.alpha is None) == (image.alpha is None)
    assert image.alpha is None or np.array_equal(back.alpha, image.alpha)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (17, 33)])
def test_any_size_is_taken(folder, size):
    write_image(Image(np.full((*size, 3), 90, np.uint8)), "photo.png", force=True)
    done("compress", "photo.png")
    done("decompress", "photo.egm", "-f", "-o", "back.png")
    assert read_image("back.png").colour.shape == (*size, 3)


def test_conversions_are_noticed_and_deep_samples_refused_with_a_remedy(folder):
    import PIL.Image

    PIL.Image.fromarray(sample()).convert("P").save("palette.png")
    PIL.Image.new("I;16", (8, 8)).save("deep.png")
    assert "notice: palette" in done("compress", "palette.png").stderr
    assert "convert to 8 bits" in failed(1, "compress", "deep.png")
    assert "decompress it first" in failed(1, "compress", "palette.egm", "-o", "x.egm")


@pytest.mark.parametrize("name", ["ü 文.png", "-", "--", "-q.png", "a" * 250 + ".png"])
def test_odd_names_are_names(folder, name):
    (folder / "photo.png").rename(folder / name)
    done("compress", "./" + name, "-o", "./out.egm")
    done("decompress", "--", "out.egm")
    assert (folder / "out.png").exists()


def test_a_missing_folder_is_told_before_the_work(folder, monkeypatch):
    monkeypatch.setattr("codec.image.encode", lambda *_, **__: pytest.fail("work was done"))
    assert "no such folder" in failed(1, "compress", "photo.png", "-o", "none/x.egm")


@pytest.mark.parametrize(("command", "extra"), [("train", "train"), ("measure", "tools")])
def test_a_missing_extra_is_named(command, extra, monkeypatch):
    def missing(_):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(module, "import_module", missing)
    assert f"engram-codec[{extra}]" in failed(1, command, "anything")


@pytest.mark.parametrize("command", ["train", "measure"])
def test_commands_of_extras_have_their_own_help(command):
    assert f"Usage: engram {command}" in done(command, "--help").stdout


def test_help_is_quick_and_complete():
    program = "import sys\nfrom codec.cli import main\ntry: main()\nfinally: print(*sys.modules)"
    with process("-h", program=program, text=True) as running:
        output = running.stdout.read()
    assert all(f"\n  {name} " in output for name in cli.commands)
    assert not {"torch", "PIL", "constriction", "imageio"} & set(output.split())


def test_an_interrupt_ends_in_130_and_leaves_nothing(folder):
    program = (  # a background job, such as CI may be, starts with SIGINT ignored
        "import signal, time, codec.files, codec.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "codec.files.os.fsync = lambda _: (print('now', flush=True), time.sleep(60))\n"
        "codec.cli.main()"
    )
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with process("compress", "photo.png", program=program) as running:
            assert running.stdout.readline() == b"now\n"
            time.sleep(0.1)
            running.send_signal(number)
            told = running.stderr.read()
        assert running.returncode == code
        assert b"Traceback" not in told
        assert names(folder) == ["photo.png"]


def test_a_reader_that_leaves_is_no_drama(stream):
    with process("decompress", "photo.egm", "-o", "-") as running:
        running.stdout.close()
        told = running.stderr.read()
    assert (running.returncode, told) == (1, b"")


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_gets_progress_and_no_binary_data(stream, folder):
    import pty

    master, slave = pty.openpty()
    with process("decompress", "photo.egm", "-o", "-", stdout=slave) as running:
        assert b"refusing to write binary data to a terminal" in running.stderr.read()
    assert running.returncode == 2
    with process("compress", "photo.png", "-f", stderr=slave) as running:
        assert b"photo.egm" in running.stdout.read()
    os.close(slave)
    with io.FileIO(master) as terminal:
        assert b"encoding photo.png [" in terminal.read(10_000)
