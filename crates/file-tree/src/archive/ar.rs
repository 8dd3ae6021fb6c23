//! The `ar` form of Debian packages: finds the member that holds the files.

use std::io::{self, BufRead, BufReader, Read};

use super::bad;

/// Hands the member `data.tar` or `data.tar.*` to `then`.
pub(super) fn find_data(
    input: &mut dyn BufRead,
    then: impl FnOnce(&mut dyn BufRead) -> io::Result<()>,
) -> io::Result<()> {
    let mut magic = [0; 8];
    input.read_exact(&mut magic)?;
    loop {
        let mut header = [0; 60];
        match super::read_up_to(input, &mut header)? {
            0 => return Err(bad("the package has no member 'data.tar'")),
            60 if header.ends_with(b"`\n") => {}
            _ => return Err(bad("a member's header is broken")),
        }
        // A name may end in a slash; both forms are padded by blanks.
        let name = header[..16].trim_ascii_end();
        let name = name.strip_suffix(b"/").unwrap_or(name);
        let size = std::str::from_utf8(header[48..58].trim_ascii_end()).ok().and_then(|text| text.parse::<u64>().ok());
        let size = size.ok_or_else(|| bad("a member's size is broken"))?;
        if name == b"data.tar" || name.starts_with(b"data.tar.") {
            return then(&mut BufReader::with_capacity(1 << 16, input.take(size)));
        }
        let padded = size.checked_add(size % 2).ok_or_else(|| bad("a member's size is broken"))?;
        if io::copy(&mut input.take(padded), &mut io::sink())? != padded {
            return Err(bad("the package ends in the middle"));
        }
    }
}
