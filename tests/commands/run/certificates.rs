//! `builtin:fetchurl` at the real binary: whose certificates a build believes.
//!
//! The server has a certificate of `crates/transfer/tests/tls`. Where `NIX_ORACLE` names a folder with the commands of C++
//! Nix, these must decide the same. Absent: what certificates are good for which names (`crates/transfer/tests/tls.rs`).

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use commands::in_own_store;

fn certificate(name: &str) -> String {
    format!("{}/../transfer/tests/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A server that says hello by TLS; answers its port, and how often a request was read.
fn serve(name: &str) -> (u16, Arc<AtomicUsize>) {
    let chain = vec![CertificateDer::from_pem_file(certificate(&format!("{name}.pem"))).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(certificate(&format!("{name}.key"))).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("a pair");
    let (config, listener) = (Arc::new(config), TcpListener::bind(("127.0.0.1", 0)).expect("a port"));
    let (port, asked) = (listener.local_addr().expect("a port").port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream));
            let mut head = String::new();
            while stream.read_line(&mut head).is_ok_and(|length| length > 2) {}
            if head.is_empty() {
                continue;
            }
            count.fetch_add(1, Ordering::SeqCst);
            let stream = stream.get_mut();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, asked)
}

/// Builds what a server has, in a new store.
fn build(program: &[&str], port: u16, variable: Option<&str>, setting: Option<&str>) -> Output {
    let folder = tempfile::Builder::new().prefix("firn-certificates-").tempdir().expect("a folder");
    let expression = format!(
        "derivation {{ name = \"hello\"; system = \"builtin\"; builder = \"builtin:fetchurl\"; \
         url = \"https://localhost:{port}/hello\"; outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; \
         outputHash = builtins.hashString \"sha256\" \"hello\"; }}"
    );
    let mut command = Command::new(program[0]);
    in_own_store(&mut command, folder.path(), "")
        .args(&program[1..])
        .args(["--no-out-link", "--option", "download-attempts", "1", "-E", &expression])
        .current_dir(folder.path());
    if let Some(name) = variable {
        command.env("NIX_SSL_CERT_FILE", certificate(name));
    }
    if let Some(name) = setting {
        command.args(["--option", "ssl-cert-file", &certificate(name)]);
    }
    let output = command.output().expect("the builder runs");
    if output.status.success() {
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        assert_eq!(fs::read_to_string(path).expect("an output"), "hello");
    }
    output
}

#[test]
fn a_build_fetches_from_servers_that_are_believed() {
    let oracle = std::env::var_os("NIX_ORACLE").map(|folder| Path::new(&folder).join("nix-build"));
    let oracle = oracle.as_ref().map(|program| vec![program.to_str().expect("a plain name")]);
    let ours = vec![env!("CARGO_BIN_EXE_firn"), "nix-build"];
    for program in [Some(ours), oracle].into_iter().flatten() {
        for (server, good, other) in [("server", "authority.pem", "own.pem"), ("own", "own.pem", "authority.pem")] {
            let (port, asked) = serve(server);
            // The setting counts for more than the variable.
            for (variable, setting) in
                [(None, None), (Some(other), None), (None, Some(other)), (Some(good), Some(other))]
            {
                let refused = build(&program, port, variable, setting);
                let said = String::from_utf8_lossy(&refused.stderr);
                assert!(!refused.status.success() && said.contains("certificate"), "{program:?}: {said}");
                assert_eq!(asked.load(Ordering::SeqCst), 0, "{program:?} {variable:?} {setting:?}");
            }
            let accepted = [(Some(good), None), (None, Some(good)), (Some(other), Some(good))];
            for (count, (variable, setting)) in accepted.into_iter().enumerate() {
                let built = build(&program, port, variable, setting);
                assert!(built.status.success(), "{program:?}: {}", String::from_utf8_lossy(&built.stderr));
                assert_eq!(asked.load(Ordering::SeqCst), count + 1);
            }
        }
    }
}
