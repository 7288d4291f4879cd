"""CUDA's libraries and other packages: missing, or of a version that does not fit."""

from .rule import Kind, Rule

_INSTALL = (
    "pip install -r requirements-gpu.txt (tensorflow[and-cuda]) in this environment: the libraries then come as wheels"
    " of the right versions"
)
_NO_OTHER = "unset LD_LIBRARY_PATH, or take other CUDA and cuDNN versions out of it: it goes before the wheels"
_FRESH = "make setup: a fresh environment with the versions of constraints.txt"
_DOCTOR = "python train/doctor.py shows what TensorFlow was built with and what is found"
_LIBRARY = r"(?:lib)?(?:cu(?!da\.so)\w*|nccl|nvrtc|nvJitLink|cupti)"

LIBRARY_RULES = (
    Rule(
        "cuda_library_missing",
        "a library of CUDA or cuDNN is not found, so TensorFlow does not use the GPU",
        (
            rf"Could not load dynamic library '(?![^']*\.dll'){_LIBRARY}[\w.-]*'",
            rf"Could not dlopen library '{_LIBRARY}[\w.-]*'",
            rf"Couldn't open CUDA library {_LIBRARY}",
            rf"{_LIBRARY}\S*: cannot open shared object file",
            r"Cannot dlopen some GPU libraries\.",
            r"Error loading CUDA libraries\. GPU will not be used",
        ),
        (_INSTALL, _NO_OTHER, "without a GPU it means nothing: TensorFlow goes on with the CPU"),
        "https://github.com/tensorflow/tensorflow/issues/45930",
        kind=Kind.NOTICE,
        follows_from=("driver_missing", "cuda_library_not_imported", "cuda_dll_missing"),
    ),
    Rule(
        "cuda_library_not_imported",
        "a library of CUDA is missing that TensorFlow 1, or another package, is linked with: it cannot be imported",
        (
            rf"ImportError: {_LIBRARY}\S*: cannot open shared object file",
            rf"Could not find '{_LIBRARY}[\w.-]*\.dll'",
        ),
        (
            "that version of CUDA or cuDNN, in a folder of LD_LIBRARY_PATH (Windows: PATH); ldconfig -p shows what"
            " there is",
            "the package for the CPU: tensorflow instead of tensorflow-gpu, tensorflow-cpu from 1.15 on",
            _FRESH + ", which needs no CUDA on a machine without a GPU",
        ),
        "https://github.com/tensorflow/tensorflow/issues/19749",
        kind=Kind.LIKELY,
        tell_apart="_pywrap_tensorflow_internal in the traceback: TensorFlow; else the package of its last lines",
    ),
    Rule(
        "cuda_dll_missing",
        "a library of CUDA or cuDNN is not found on Windows, so TensorFlow does not use the GPU",
        (rf"Could not load dynamic library '{_LIBRARY}[\w.-]*\.dll'",),
        (
            "TensorFlow 2.10, the last with GPUs on Windows: CUDA 11.2 and cuDNN 8.1, their bin folders on PATH",
            "newer: WSL 2, and there " + _INSTALL,
            "without a GPU it means nothing: TensorFlow goes on with the CPU",
        ),
        "https://github.com/tensorflow/tensorflow/issues/61438",
        kind=Kind.NOTICE,
    ),
    Rule(
        "tensorrt_missing",
        "TensorRT is not installed; TensorFlow does not need it for training",
        (
            r"TF-TRT Warning: (?:Could not find TensorRT|Cannot dlopen some TensorRT libraries)",
            r"Could not load dynamic library 'libnvinfer",
        ),
        ("nothing",),
        "https://github.com/tensorflow/tensorflow/issues/62075",
        kind=Kind.HARMLESS,
    ),
    Rule(
        "cudnn_version",
        "the cuDNN that is found does not serve a TensorFlow that was built with another version",
        (r"Loaded runtime CuDNN library: [\d.]+ .*but source was compiled with",),
        (_INSTALL, _NO_OTHER, _DOCTOR),
        "https://github.com/tensorflow/tensorflow/issues/58986",
        within=(r"\bCUDNN_STATUS_(?:SUBLIBRARY_)?VERSION_MISMATCH\b",),
    ),
    Rule(
        "dnn_library_not_found",
        "cuDNN could not be used: it is missing, of the wrong version, or got no GPU memory to start with",
        (r"DNN library is not found", r"DNN library initialization failed"),
        (_INSTALL, "--memory_policy=growth, or TF_FORCE_GPU_ALLOW_GROWTH=true", _NO_OTHER),
        "https://github.com/tensorflow/tensorflow/issues/55468",
        tell_apart="an earlier line of the log says which: 'Loaded runtime CuDNN library' the version, 'Could not load"
        " dynamic library' a missing one, 'Could not create cudnn handle' most often memory",
        kind=Kind.LIKELY,
        follows_from=("cudnn_version", "cuda_library_missing", "cuda_dll_missing", "cudnn_failed", "gpu_out_of_memory"),
    ),
    Rule(
        "gpu_architecture",
        "this TensorFlow has no kernels for the GPU's compute capability",
        (
            r"no kernel image is available for execution on the device",
            r"device kernel image is invalid",
            r"CUDA_ERROR_(?:NO_BINARY_FOR_GPU|INVALID_PTX)\b",
            r"Failed to load in-memory CUBIN",
            r"'cu(?:ModuleLoadData|LaunchKernel)\(.*' failed with 'CUDA_ERROR_INVALID_\w+'",
        ),
        (
            "GPUs of compute capability 6.0 to 8.9 have kernels in TensorFlow 2.21: nvidia-smi"
            " --query-gpu=name,compute_cap --format=csv shows yours",
            "older GPU: an older TensorFlow; newer one (RTX 50xx): a driver that is new enough to compile for it, else"
            " tf-nightly or NVIDIA's container",
        ),
        "https://github.com/tensorflow/tensorflow/issues/42467",
        within=(r"^(?!.*was not built).*\bCUDA_ERROR_(?:NO_BINARY_FOR_GPU|INVALID_PTX)\b",),
        follows_from=("driver_too_old",),
    ),
    Rule(
        "kernels_compiled_at_first_use",
        "the GPU is newer than the kernels in this TensorFlow: they are compiled at first use, for minutes",
        (r"TensorFlow was not built with CUDA kernel binaries compatible with compute capability",),
        (
            "wait; the next run finds them in CUDA's cache (CUDA_CACHE_MAXSIZE=4294967296 keeps them all)",
            "if it then dies with CUDA_ERROR_INVALID_PTX: a newer driver or a newer TensorFlow",
        ),
        "https://github.com/tensorflow/tensorflow/issues/89272",
        kind=Kind.NOTICE,
        follows_from=("gpu_architecture",),
    ),
    Rule(
        "registered_twice",
        "harmless: TensorFlow registers cuDNN, cuBLAS and cuFFT twice and says so at every import",
        (
            r"Unable to register cu\w+ factory",
            r"computation placer already registered",
        ),
        ("nothing; the GPU is used nevertheless, and if it is not, the reason is another line",),
        "https://github.com/tensorflow/tensorflow/issues/62075",
        kind=Kind.HARMLESS,
    ),
    Rule(
        "libdevice_missing",
        "XLA does not find libdevice, a part of the CUDA toolkit that it needs to compile for the GPU",
        (
            r"Can't find libdevice directory",
            r"libdevice not found at",
            r"libdevice is required by this HLO module but was not found",
        ),
        (
            _INSTALL,
            "XLA_FLAGS=--xla_gpu_cuda_data_dir=FOLDER, the one that holds nvvm/libdevice",
            "jit_compile=False in compile(): no XLA",
        ),
        "https://github.com/tensorflow/tensorflow/issues/58681",
    ),
    Rule(
        "ptxas_missing",
        "ptxas, the assembler of CUDA, is missing or too old, which XLA needs to compile for the GPU",
        (
            r"Couldn't (?:get|parse|invoke) ptxas",
            r"(?:\./bin/|\S*/)?ptxas not found",
            r"No PTX compilation provider is available",
            r"(?:\S+ )?ptxas too old\. Falling back",
            r"ptxas exited with non-zero error code",
            r"\S*/ptxas --version returned -?\d+",
        ),
        (
            _INSTALL + " (nvidia-cuda-nvcc-cu12 among them)",
            "jit_compile=False in compile(): no XLA; without XLA the driver compiles, and the message is harmless",
        ),
        "https://github.com/tensorflow/tensorflow/issues/50562",
        kind=Kind.NOTICE,
        follows_from=("libdevice_missing", "gpu_architecture"),
    ),
    Rule(
        "native_library_not_loaded",
        "TensorFlow's own library could not be loaded",
        (
            r"DLL load failed(?: while importing _pywrap_tensorflow_internal)?",
            r"Failed to load the native TensorFlow runtime",
            r"/\S+: version `GLIBC(?:XX)?_[\d.]+' not found",
        ),
        (
            "Windows: the Visual C++ redistributable, and a TensorFlow for this Python; for a GPU use WSL 2",
            "'GLIBC… not found': a newer Linux, or a container of tensorflow/tensorflow",
            _FRESH,
        ),
        "https://www.tensorflow.org/install/errors",
        tell_apart="the line before it names the library that is missing",
        kind=Kind.LIKELY,
        follows_from=(
            *("cuda_library_missing", "cuda_library_not_imported", "protobuf_version", "numpy_version"),
            "cpu_instructions",
        ),
    ),
    Rule(
        "protobuf_version",
        "the protobuf package does not fit the code that was generated for TensorFlow's messages, or another package's",
        (
            r"Descriptors cannot (?:not )?be created directly",
            r"Detected (?:incompatible|mismatched) Protobuf Gencode/Runtime",
            r"cannot import name 'builder' from 'google\.protobuf\.internal'",
            r"'MessageFactory' object has no attribute 'GetPrototype'",
        ),
        (
            "upgrade the package whose _pb2.py the traceback names, TensorFlow or another; pip check helps",
            "'Descriptors cannot be created directly': pip install 'protobuf<=3.20.3' serves old code, too",
            _FRESH,
        ),
        "https://github.com/tensorflow/tensorflow/issues/56266",
    ),
    Rule(
        "keras_2_code",
        "code or a model of Keras 2 met Keras 3, which TensorFlow has from 2.16 on",
        (
            r"File format not supported: .*Keras 3 only supports V3 `\.keras` files",
            r"`keras\.optimizers\.legacy` is not supported in Keras 3",
            r"Your currently installed version of Keras is Keras 3, but this is not yet supported in Transformers",
        ),
        (
            "pip install tf_keras, the version of TensorFlow, and TF_USE_LEGACY_KERAS=1 in the environment before"
            " TensorFlow is imported: tf.keras then is Keras 2",
            "a SavedModel that is only to be called: keras.layers.TFSMLayer(folder, call_endpoint='serving_default')",
            "in your own code: keras.optimizers.Adam and its like, without legacy; model.save('model.keras')",
        ),
        "https://github.com/kellylab/viral-protein-function-plm/issues/6",
    ),
    Rule(
        "numpy_version",
        "a compiled package was built for another NumPy than the one installed",
        (
            r"numpy\.(?:dtype|ndarray|ufunc) size changed, may indicate binary incompatibility",
            r"A module that was compiled using NumPy 1\.x cannot be run in",
            r"module (?:was )?compiled against A[BP]I version 0x\w+ but this version of numpy is",
            r"numpy\.core\.multiarray failed to import",
        ),
        (_FRESH, "reinstall the package that the traceback names; with an old one: pip install 'numpy<2'"),
        "https://github.com/tensorflow/tensorflow/issues/98406",
    ),
    Rule(
        "cpu_instructions",
        "the CPU lacks instructions that this TensorFlow was compiled for, such as AVX",
        (
            r"Illegal instruction(?:\b|$)",
            r"The TensorFlow library was compiled to use \S+ instructions, but these aren't available",
        ),
        (
            "grep -o -w -m1 avx /proc/cpuinfo: empty means that pip's TensorFlow cannot run here; in a virtual machine"
            " pass the host's CPU through (-cpu host)",
            "with AVX: make setup, since a package compiled for another machine does the same",
        ),
        "https://github.com/tensorflow/tensorflow/issues/17411",
    ),
)
