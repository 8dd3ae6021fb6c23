//! Who takes the bytes.

use std::io;

/// Takes the bytes of one transfer in order.
pub trait Receiver {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// Any error ends the transfer.
    fn data(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Forgets everything: the transfer begins anew, because the server cannot go on in the middle.
    ///
    /// # Errors
    /// Any error ends the transfer.
    fn restart(&mut self) -> io::Result<()>;
}

/// For who only wants to know where the bytes are.
impl Receiver for io::Sink {
    fn data(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Receiver for Vec<u8> {
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}
