# Setup hook: makes patches compressed by xz readable.
uncompressXz() {                   # FILE, to standard output
    case $1 in
        *.xz) xz -dc "$1" ;;
        *) return 1 ;;
    esac
}
uncompressHooks+=(uncompressXz)
