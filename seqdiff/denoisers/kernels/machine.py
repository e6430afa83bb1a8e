"""The machine that kernels are compiled for, as LLVM names it.

Who tells numba to compile for another one (NUMBA_CPU_NAME, NUMBA_CPU_FEATURES, NUMBA_ENABLE_AVX=0, as some clusters
do) is obeyed: LLVM ends the process when it meets an instruction that its target has not.
"""

import os

import llvmlite.binding as llvm


def _told() -> str | None:
    """The features that numba is told of, None when it looks for itself."""
    generic = os.environ.get("NUMBA_CPU_NAME", "").lower() == "generic"
    return os.environ.get("NUMBA_CPU_FEATURES", "" if generic else None)


def _features() -> dict[str, bool]:
    told = _told()
    if told is not None:
        words = (word.strip() for word in told.split(","))
        return {word[1:]: word[0] == "+" for word in words if word}
    try:
        features = dict(llvm.get_host_cpu_features())
    except RuntimeError:  # LLVM does not know
        return {}
    if os.environ.get("NUMBA_ENABLE_AVX") == "0":
        features = {name: has and not name.startswith("avx") for name, has in features.items()}
    return features


FEATURES = _features()
"""Whether the machine has "avx2", "avx512f", ..."""
CPU = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()

_LISTED = ",".join(("+" if FEATURES[name] else "-") + name for name in sorted(FEATURES))


def described() -> str:
    """Everything of a machine that decides which code is made, in one line."""
    return f"{llvm.get_process_triple()} {CPU} {_LISTED}"


def differs(cpu_features: str | None, enable_avx: bool) -> bool:
    """Whether numba's configuration is for another machine than this, for it has more sources than we look at."""
    return cpu_features != _told() or (not enable_avx and FEATURES.get("avx2", False))


def object_code(text: str) -> bytes:
    """The object file of a module in LLVM's assembly."""
    _start()
    module = llvm.parse_assembly(text)
    module.verify()
    # Constants stand beside the code and are addressed from there: less to load than numba's 64-bit addresses.
    machine = _target().create_target_machine(
        cpu=CPU, features=_LISTED, opt=3, reloc="pic", codemodel="small", jit=True
    )
    return machine.emit_object(module)


def loaded(code: bytes) -> llvm.ExecutionEngine:
    """Object code, ready to be called for as long as the engine is kept."""
    _start()
    llvm.check_jit_execution()
    # Code and constants in one piece of memory (use_lmm), or they may be too far apart for the small code model.
    engine = llvm.create_mcjit_compiler(
        llvm.parse_assembly(""), _target().create_target_machine(jit=True), use_lmm=True
    )
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _target() -> llvm.Target:
    return llvm.Target.from_triple(llvm.get_process_triple())


def _start() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
