# Setup hook: makes patches compressed by gzip readable.
uncompressGzip() {                # FILE, to standard output
    case $1 in
        *.gz) gzip -dc "$1" ;;
        *) return 1 ;;
    esac
}
uncompressHooks+=(uncompressGzip)
