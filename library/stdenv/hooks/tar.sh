# Setup hook: unpacks tar archives, compressed or not.
unpackTar() {                     # FILE
    case $1 in
        *.tar|*.tar.*|*.tgz|*.tbz|*.tbz2|*.txz) tar xf "$1" --no-same-owner --mode=u+w ;;
        *) return 1 ;;
    esac
}
unpackHooks+=(unpackTar)
