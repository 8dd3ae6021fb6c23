//! `nix-channel` over http: expressions come from where the server redirects to, and stay when it has nothing.
//!
//! Where `NIX_ORACLE` names a folder with the commands of C++ Nix, these must answer the same. Absent: files, the list,
//! generations (`cases/nix-channel.txt`).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use commands::{Programs, in_own_store};

/// A server with one release of a channel; answers its port.
fn serve(release: Vec<u8>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("a port").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while stream.read_line(&mut head).is_ok_and(|length| length > 2) {}
            let place = head.split(' ').nth(1).unwrap_or_default();
            let (status, more, body): (_, _, &[u8]) = match place {
                "/channels/tools" => ("302 Found", "Location: /releases/tools-1.2\r\n", b""),
                "/releases/tools-1.2" => ("200 OK", "", b"a page for people"),
                "/releases/tools-1.2/nixexprs.tar.xz" => ("200 OK", "", &release),
                _ => ("404 Not Found", "", b""),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n");
            let stream = stream.get_mut();
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    port
}

/// What a line of shell prints, in a world whose programs are these.
fn said(programs: &Path, world: &Path, line: &str) -> String {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&paths));
    let output = in_own_store(&mut Command::new("sh"), world, "download-attempts = 1\n")
        .args(["-c", line])
        .current_dir(world)
        .env("PATH", std::env::join_paths(paths).expect("a search path"))
        .output()
        .expect("sh runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_channel_comes_from_where_its_server_redirects_to() {
    let sources = tempfile::tempdir().expect("a folder");
    fs::create_dir(sources.path().join("expressions")).expect("a folder");
    let expression = "{ a = derivation { name = \"a-1\"; system = \"x\"; builder = \"x\"; }; }";
    fs::write(sources.path().join("expressions/default.nix"), expression).expect("a file");
    let packed = said(Path::new("/"), sources.path(), "tar cJf release.tar.xz expressions");
    let port =
        serve(fs::read(sources.path().join("release.tar.xz")).unwrap_or_else(|_| panic!("no archive: {packed}")));

    let ours = Programs::of(Path::new(env!("CARGO_BIN_EXE_firn")));
    let oracle = std::env::var_os("NIX_ORACLE").map(PathBuf::from);
    for programs in [Some(ours.path()), oracle.as_deref()].into_iter().flatten() {
        let folder = tempfile::Builder::new().prefix("firn-channels-").tempdir().expect("a folder");
        let world = folder.path();
        fs::create_dir_all(world.join("home")).expect("a home");
        let run = |line: &str| said(programs, world, line);
        run(&format!("nix-channel --add http://127.0.0.1:{port}/channels/tools"));
        let updated = run("nix-channel --update");
        assert!(updated.contains("unpacking 1 channels..."), "{programs:?}: {updated}");
        let installed = "nix-env -p \"$(readlink home/.nix-defexpr/channels)\" -q 2>/dev/null";
        assert_eq!(run(installed), "tools\n", "{programs:?}");
        assert_eq!(run("nix-env -qaP 2>/dev/null"), "tools.a  a-1\n", "{programs:?}");
        // A server that has nothing changes nothing, and is named.
        run(&format!("nix-channel --add http://127.0.0.1:{port}/channels/none none"));
        let refused = run("nix-channel --update; echo status $?");
        assert!(refused.contains("/channels/none") && refused.contains("404"), "{programs:?}: {refused}");
        assert!(refused.contains("status 1"), "{programs:?}: {refused}");
        assert_eq!(run(installed), "tools\n", "{programs:?}");
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(world).status();
    }
}
