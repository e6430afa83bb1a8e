"""How mamba-ssm and causal-conv1d are called: by a stand-in that has their signatures and insists on what they do."""

import inspect
import sys

import mamba_stand_in
import pytest
import torch
from scans import arguments, gradients, layer, leaves, mixed, relative, sequential

from seqdiff.denoisers import Caduceus, paths
from seqdiff.denoisers.scan import cuda, mix

GPU = torch.device("cuda")


@pytest.mark.parametrize("name", ["selective_scan_fn", "mamba_inner_fn", "causal_conv1d_fn"])
def test_the_stand_in_has_the_packages_signatures(stand_in, name):
    assert str(inspect.signature(getattr(stand_in, name))) == stand_in.SIGNATURES[name]


@pytest.fixture
def own_files(monkeypatch):
    """The packages' own Python files around compiled modules that torch stands in for, where they are installed."""
    cuda._import.cache_clear()
    mamba_stand_in.install_compiled(monkeypatch)
    pytest.importorskip("causal_conv1d.causal_conv1d_interface", exc_type=ImportError)
    yield pytest.importorskip("mamba_ssm.ops.selective_scan_interface", exc_type=ImportError)
    cuda._import.cache_clear()
    forget_packages()


def test_the_packages_have_these_signatures(own_files):
    for name in ("selective_scan_fn", "mamba_inner_fn", "causal_conv1d_fn"):
        assert str(inspect.signature(getattr(own_files, name))) == mamba_stand_in.SIGNATURES[name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pads", [False, True])
@pytest.mark.parametrize("length", [24, 37])
def test_the_packages_own_files_do_what_is_asked(own_files, length, pads, dtype):
    xz, *rest = layer(length)
    inside = torch.ones(2, length, 1) if pads else None
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        y = cuda.mix(xz.to(dtype), inside, *rest)
    inputs, truth = leaves(xz, *rest), mixed(xz, inside, *rest)
    tolerance = 1e-4 if dtype == torch.float32 else 3e-2
    assert relative(y, truth) < tolerance
    pairs = zip(gradients([y], inputs.values()), gradients([truth], inputs.values()), strict=True)
    for name, (one, other) in zip(inputs, pairs, strict=True):
        assert relative(one, other) < tolerance, name


@pytest.mark.parametrize("reverse", [False, True])
def test_the_packages_own_scan_does_what_is_asked(own_files, reverse):
    given = arguments(37)
    settings = {"delta_softplus": True, "reverse": reverse}
    y = cuda.selective_scan(**given, **settings)
    truth = sequential(**given, **settings)
    assert relative(y, truth) < 1e-5
    flipped = {name: t.flip(-1) if reverse and t.dim() == 3 else t for name, t in given.items()}
    oracle = own_files.selective_scan_ref(**flipped, delta_softplus=True)
    assert relative(y, oracle.flip(-1) if reverse else oracle) < 1e-5
    pairs = zip(gradients([y], given.values()), gradients([truth], given.values()), strict=True)
    for name, (one, other) in zip(given, pairs, strict=True):
        assert relative(one, other) < 1e-4, name


def test_a_gpu_takes_them_and_says_so(stand_in, caplog):
    path = paths.choose(GPU, torch.float32)
    assert path == ("cuda", "mamba-ssm and causal-conv1d")
    assert not caplog.text
    assert paths.choose(GPU, torch.bfloat16).name == "cuda"
    assert paths.choose(GPU, torch.float64).name == "reference"


def test_without_pads_a_layer_is_one_call_a_direction(stand_in):
    xz, *rest = layer(32)
    cuda.mix(xz, None, *rest)
    assert stand_in.CALLS == ["mamba_inner_fn", "causal_conv1d_fn", "selective_scan_fn"] * 2


@pytest.mark.parametrize(("pads", "calls"), [(False, ["mamba_inner_fn"]), (True, [])])
def test_one_direction_is_called_once(stand_in, pads, calls):
    xz, forward, _, out_proj = layer(32)
    inside = torch.ones(2, 32, 1) if pads else None
    y = cuda.mix(xz, inside, forward, None, out_proj)
    assert [*calls, "causal_conv1d_fn", "selective_scan_fn"] == stand_in.CALLS
    assert relative(y, mixed(xz, inside, forward, None, out_proj)) < 1e-5


@pytest.mark.parametrize("taps", [2, 5])
def test_with_pads_or_a_long_convolution_the_parts_are_called(stand_in, taps):
    xz, *rest = layer(32, taps=taps)
    cuda.mix(xz, torch.ones(2, 32, 1), *rest)
    one_way = ["causal_conv1d_fn", "selective_scan_fn"] if taps == 2 else ["selective_scan_fn"]
    calls = stand_in.CALLS
    assert calls == one_way * 2


@pytest.mark.parametrize("pads", [False, True])
def test_mamba_ssm_alone_is_used_with_torchs_convolution(monkeypatch, stand_in, pads):
    stand_in.install(monkeypatch, convolution=False)
    cuda._import.cache_clear()
    assert paths.choose(GPU, torch.float32).why == "mamba-ssm; causal-conv1d not installed: torch's convolution instead"
    xz, *rest = layer(40)
    inside = torch.ones(2, 40, 1) if pads else None
    assert relative(cuda.mix(xz, inside, *rest), mixed(xz, inside, *rest)) < 1e-5
    assert stand_in.CALLS == ["selective_scan_fn"] * 2


@pytest.mark.parametrize("settings", [{"initial_state": True}, {"return_last_state": True}, {"states": 257}])
def test_what_the_kernel_cannot_do_goes_to_the_reference_which_is_said_once(stand_in, monkeypatch, caplog, settings):
    monkeypatch.setattr(cuda, "_said", set())
    more = {"return_last_state": True} if "return_last_state" in settings else {}
    given = arguments(9, states=settings.get("states", 4), initial_state="initial_state" in settings)
    for _ in range(2):
        answer, truth = cuda.selective_scan(**given, **more), sequential(**given, **more)
    assert not stand_in.CALLS
    assert relative(answer[0] if more else answer, truth[0] if more else truth) < 1e-5
    (record,) = caplog.records
    said = {"initial_state": "an initial state", "return_last_state": "no gradient", "states": "256 states"}
    assert said[next(iter(settings))] in record.getMessage()


def test_a_layer_of_too_many_states_says_so_once(stand_in, monkeypatch, caplog):
    monkeypatch.setattr(cuda, "_said", set())
    xz, *rest = layer(6, states=257)
    assert relative(cuda.mix(xz, None, *rest), mixed(xz, None, *rest)) < 1e-5
    assert "selective_scan_fn" not in stand_in.CALLS
    assert len(caplog.records) == 1


@pytest.mark.parametrize("rows", [0, 3])
def test_an_empty_batch_and_one_row_for_all(stand_in, caplog, rows):
    """Tensors expanded over the rows have stride 0 there; a kernel cannot be started for no rows."""
    given = {name: tensor.detach() for name, tensor in arguments(16, rows=1).items()}
    many = {name: tensor.expand(rows, -1, -1) if tensor.dim() == 3 else tensor for name, tensor in given.items()}
    y, last = cuda.selective_scan(**many, return_last_state=True)
    truth, state = sequential(**given, return_last_state=True)
    torch.testing.assert_close(y.double(), truth.expand(rows, -1, -1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(last.double(), state.expand(rows, -1, -1), rtol=1e-4, atol=1e-5)
    assert len(stand_in.CALLS) == bool(rows)
    assert not caplog.records


@pytest.mark.parametrize("inside", [None, torch.ones(1, 16, 1)])
@pytest.mark.parametrize("rows", [0, 3])
def test_a_layer_over_an_empty_batch_and_one_row_for_all(stand_in, rows, inside):
    xz, *rest = layer(16, rows=1)
    over_time = xz.detach().mT.contiguous().mT.expand(rows, -1, -1).requires_grad_()
    pads = None if inside is None else inside.expand(rows, -1, -1)
    y = cuda.mix(over_time, pads, *rest)
    torch.testing.assert_close(y.double(), mixed(xz, inside, *rest).expand(rows, -1, -1), rtol=1e-4, atol=1e-5)
    for tensor, gradient in zip((over_time, *rest[0]), gradients([y], (over_time, *rest[0])), strict=True):
        assert gradient.shape == tensor.shape
    assert bool(stand_in.CALLS) == bool(rows)


def test_the_last_state_is_the_kernels_where_nothing_learns(stand_in):
    given = {name: tensor.detach() for name, tensor in arguments(9).items()}
    cuda.selective_scan(**given, return_last_state=True)
    assert stand_in.CALLS == ["selective_scan_fn"]


def test_a_finer_delta_is_not_rounded_to_a_coarser_input(stand_in):
    given = {name: tensor.detach() for name, tensor in arguments(50).items()}
    given |= {name: given[name].bfloat16() for name in ("u", "z")}
    y = cuda.selective_scan(**given, delta_softplus=True)
    assert y.dtype == torch.bfloat16
    assert relative(y, sequential(**given, delta_softplus=True).bfloat16()) < 1e-3


def recorded(monkeypatch, stand_in):
    """What the scan's kernel is given, by name, for every call."""
    calls = []

    def record(*tensors, **named):
        calls.append(inspect.signature(stand_in.selective_scan_fn).bind(*tensors, **named).arguments)
        return stand_in.selective_scan_fn(*tensors, **named)

    kernels = cuda.kernels()
    monkeypatch.setattr(cuda, "kernels", lambda: kernels._replace(scan=record, layer=None))
    return calls


@pytest.mark.parametrize("network", [torch.float32, torch.bfloat16])
def test_under_autocast_steps_and_state_are_single(monkeypatch, stand_in, network):
    """A, D and the bias reach the kernel in float32; it adds the bias to dt and takes steps and states in float32."""
    calls = recorded(monkeypatch, stand_in)
    xz, *rest = layer(64, dtype=network)
    with torch.autocast("cpu", torch.bfloat16):
        y = cuda.mix(xz, torch.ones(2, 64, 1), *rest)
    assert y.dtype == torch.bfloat16
    assert len(calls) == 2
    for given in calls:
        for name in ("A", "D", "delta_bias"):
            assert given[name].dtype == torch.float32, name
        for name in ("u", "delta", "B", "C", "z"):
            assert given[name].dtype == torch.bfloat16, name
        assert given["delta_softplus"]


@pytest.mark.parametrize("inside", [None, torch.ones(5, 32, 1)])
def test_a_batch_too_large_for_the_kernels_addresses_is_computed_in_pieces(monkeypatch, stand_in, inside):
    xz, *rest = layer(32, rows=5, channels=16)
    whole = cuda.mix(xz, inside, *rest)
    once = len(stand_in.CALLS)
    for module in (cuda, stand_in):
        monkeypatch.setattr(module, "ADDRESSES", 2 * 32 * 32)  # two rows of xz
    stand_in.CALLS.clear()
    torch.testing.assert_close(cuda.mix(xz, inside, *rest), whole)
    assert len(stand_in.CALLS) == 3 * once


def test_a_scan_too_large_for_the_kernels_addresses_is_computed_in_pieces(monkeypatch, stand_in):
    given = {name: tensor.detach() for name, tensor in arguments(32, rows=5, width=16).items()}
    settings = {"delta_softplus": True, "reverse": True, "return_last_state": True}
    y, last = cuda.selective_scan(**given, **settings)
    for module in (cuda, stand_in):
        monkeypatch.setattr(module, "ADDRESSES", 1100)
    pieces, state = cuda.selective_scan(**given, **settings)
    torch.testing.assert_close((pieces, state), (y, last))
    assert stand_in.CALLS == ["selective_scan_fn"] * 4


def test_the_compiler_stops_at_mamba_ssm_alone(monkeypatch, stand_in):
    """Its functions are no operators of torch. A layer becomes two graphs, before and after, whatever the depth."""
    monkeypatch.setattr(paths, "choose", lambda device, dtype: paths.Path("cuda", ""))
    xz, *rest = layer(16, channels=16, width=32)

    def block(h):
        return h + mix(torch.tanh(h) + 1, None, *rest)

    def network(h):
        return block(block(block(h)))

    torch._dynamo.reset()
    explained = torch._dynamo.explain(network)(xz)
    assert explained.graph_count == 2
    assert explained.graph_break_count == 1
    assert "torch.compiler.disable" in explained.break_reasons[0].reason


def test_a_compiled_network_breaks_at_its_layers_scans_alone(monkeypatch, stand_in):
    monkeypatch.setattr(paths, "choose", lambda device, dtype: paths.Path("cuda", ""))
    torch.manual_seed(0)
    network, tokens = Caduceus(width=16, depth=2).build(4), torch.randint(0, 4, (2, 16))
    torch.nn.init.normal_(network.head.weight)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(network, backend="eager")
    torch.testing.assert_close(compiled(tokens), network(tokens), rtol=1e-4, atol=1e-5)
    (reason,) = torch._dynamo.utils.counters["graph_break"]
    torch._dynamo.reset()
    assert "torch.compiler.disable" in reason
    assert "function mix" in reason


def forget_packages():
    for name in [name for name in sys.modules if name.split(".")[0] in ("mamba_ssm", "causal_conv1d")]:
        del sys.modules[name]


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """A folder of Python packages that is found first; imports of both packages start afresh."""
    forget_packages()
    monkeypatch.syspath_prepend(tmp_path)
    cuda._import.cache_clear()
    monkeypatch.setattr(paths, "_said", set())
    yield tmp_path
    cuda._import.cache_clear()
    forget_packages()


@pytest.mark.parametrize(
    "failure",
    [
        "raise ImportError('selective_scan_cuda.so: undefined symbol: _ZN3c104cuda9SetDeviceEab')",
        "raise OSError('libcudart.so.11.0: cannot open shared object file')",
        "raise RuntimeError('Triton is only supported with CUDA')",
        "import selective_scan_cuda_of_another_torch",
        "raise AttributeError",
    ],
)
def test_a_broken_installation_is_a_reason_and_no_crash(packages, caplog, failure):
    (packages / "mamba_ssm").mkdir()
    (packages / "mamba_ssm" / "__init__.py").write_text(failure)
    path = paths.choose(GPU, torch.float32)
    assert path.name == "reference"
    assert "does not import" in path.why
    assert failure.partition("'")[2].rstrip("')") in path.why
    assert "--no-build-isolation" in path.why
    paths.choose(GPU, torch.float32)
    assert caplog.text.count("does not import") == 1


def test_a_broken_causal_conv1d_leaves_mamba_ssm(packages):
    interface = packages / "mamba_ssm" / "ops" / "selective_scan_interface.py"
    interface.parent.mkdir(parents=True)
    for folder in (interface.parent, interface.parent.parent):
        (folder / "__init__.py").touch()
    interface.write_text("selective_scan_fn = mamba_inner_fn = print\ncausal_conv1d_fwd_function = None\n")
    (packages / "causal_conv1d.py").write_text("raise ImportError('causal_conv1d_cuda.so: undefined symbol')")
    path = paths.choose(GPU, torch.float32)
    assert path.name == "cuda"
    assert "causal-conv1d does not work (ImportError: causal_conv1d_cuda.so: undefined symbol)" in path.why
    assert cuda.kernels().layer is None


def test_nothing_is_imported_for_a_cpu(packages):
    (packages / "mamba_ssm").mkdir()
    (packages / "mamba_ssm" / "__init__.py").write_text("raise SystemExit")
    assert paths.choose(torch.device("cpu"), torch.float32).name in ("reference", "cpu")
