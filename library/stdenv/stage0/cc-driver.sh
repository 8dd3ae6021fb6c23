#!@busybox@ ash
# A compiler driver that sees store paths only. What the environment may add, as words:
#   NIX_CFLAGS_COMPILE   flags of the driver, wherever something is compiled
#   NIX_LDFLAGS          flags of the linker itself (-L, -l, -rpath DIRECTORY), wherever something is linked
#   NIX_DEBUG            not empty: show the command
link=1 input= headers=1 runtime=1 pipe=-pipe
for argument; do
    case $argument in
        -c|-S|-E|-M|-MM|-fsyntax-only) link= ;;
        -r|-nostdlib|-static|-static-pie) runtime= ;;
        -nostdinc) headers= ;;
        -save-temps*|-pipe) pipe= ;;
        -|@*) input=1 ;;
        -*) ;;
        *) input=1 ;;
    esac
done
# The user's flags come first, so that they win; the C library's headers come last of all.
if [ -n "$headers" ]; then
    set -- "$@" $NIX_CFLAGS_COMPILE @languageFlags@ -idirafter @libcDev@/include
fi
# No link flags where nothing is linked: they would make an input of nothing.
if [ -n "$link" ] && [ -n "$input" ]; then
    for flag in $NIX_LDFLAGS; do set -- "$@" -Xlinker "$flag"; done
    set -- "$@" @linkFlags@
    [ -z "$runtime" ] || set -- "$@" @rpathFlags@
fi
# The empty root keeps the directories that are built into the compiler out of sight.
set -- --sysroot=@noSysroot@ -B@binutils@/bin/ -B@libcDev@/lib/ $pipe "$@"
[ -z "$NIX_DEBUG" ] || echo "@program@ $*" >&2
exec @program@ "$@"
