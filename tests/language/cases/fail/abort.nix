abort "a message"
