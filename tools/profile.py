"""Parameters, FLOPs, activations and time of each stage: the work is done in profiling.py."""

if __name__ == '__main__':
    from profiling import main

    main()
else:
    # A tool's folder comes first on Python's path. So whoever asks for the standard library's
    # module of this name, as cProfile and with it torch do, finds this file: be that module.
    import sys
    import sysconfig
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec(__name__, [sysconfig.get_path('stdlib')])
    spec.loader.exec_module(sys.modules[__name__])
