# Setup hook: makes patches compressed by bzip2 readable.
uncompressBzip2() {                # FILE, to standard output
    case $1 in
        *.bz2) bzip2 -dc "$1" ;;
        *) return 1 ;;
    esac
}
uncompressHooks+=(uncompressBzip2)
