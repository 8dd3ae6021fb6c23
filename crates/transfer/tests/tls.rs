//! Certificates: who is believed, who is not, and what is said then.
//!
//! The certificates in `tls/` hold until 2126. `server.pem` is `localhost`'s and 127.0.0.1's, by `authority.pem`; `own.pem`
//! is `localhost`'s by itself, as `openssl req -x509` makes it, with the mark of an authority.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use activity::Activity;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use transfer::{ErrorClass, Request, Transfer, TransferError, TransferOptions};

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// A server that says hello by TLS to everybody who believes it.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    /// How often a request was read.
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn new(name: &str) -> Self {
        Self::at("127.0.0.1", name)
    }

    fn at(address: &str, name: &str) -> Self {
        let chain = vec![CertificateDer::from_pem_file(place(&format!("{name}.pem"))).unwrap()];
        let key = PrivateKeyDer::from_pem_file(place(&format!("{name}.key"))).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&connections), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counts.0.fetch_add(1, Ordering::SeqCst);
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream.unwrap()));
                let mut head = String::new();
                while stream.read_line(&mut head).is_ok_and(|length| length > 2) {}
                if head.is_empty() {
                    continue;
                }
                counts.1.fetch_add(1, Ordering::SeqCst);
                let stream = stream.get_mut();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { port, connections, asked }
    }

    fn fetch(&self, host: &str, authority: Option<&str>) -> Result<String, TransferError> {
        let ca_file = authority.map(|name| place(&format!("{name}.pem")));
        let options = TransferOptions { first_pause: Duration::from_millis(1), ca_file, ..TransferOptions::default() };
        let mut body = Vec::new();
        let url = format!("https://{host}:{}/secret", self.port);
        Transfer::new(options).download(&Activity::silent(), &Request::get(&url), &mut body)?;
        Ok(String::from_utf8(body).unwrap())
    }

    fn refuses(&self, host: &str, authority: Option<&str>, words: &[&str]) {
        let error = self.fetch(host, authority).unwrap_err();
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        // Nothing was asked of a server that is not believed, and it is not tried again.
        assert_eq!((error.class(), self.asked.load(Ordering::SeqCst)), (ErrorClass::Permanent, 0), "{text}");
        assert_eq!(self.connections.swap(0, Ordering::SeqCst), 1, "{text}");
    }
}

#[test]
fn a_server_needs_an_authority_that_is_known() {
    let server = Server::new("server");
    server.refuses("localhost", None, &["https://localhost:", "certificate", "ssl-cert-file"]);
    server.refuses("localhost", Some("own"), &["certificate"]);
    assert_eq!(server.fetch("localhost", Some("authority")).unwrap(), "hello");
    assert_eq!(server.fetch("127.0.0.1", Some("authority")).unwrap(), "hello");
}

#[test]
fn a_certificate_is_for_its_names_only() {
    let server = Server::new("own");
    server.refuses("127.0.0.1", Some("own"), &["certificate", "127.0.0.1"]);
    let server = Server::at("127.0.0.2", "server");
    server.refuses("127.0.0.2", Some("authority"), &["certificate", "127.0.0.2"]);
}

#[test]
fn a_server_may_vouch_for_itself_where_it_is_known() {
    let server = Server::new("own");
    server.refuses("localhost", None, &["certificate"]);
    server.refuses("localhost", Some("authority"), &["certificate"]);
    assert_eq!(server.fetch("localhost", Some("own")).unwrap(), "hello");
}
