//! `nix-store --serve` at the real binary: requests as bytes in, answers as bytes out.
//!
//! What must come is put together from what other commands say. Where `NIX_ORACLE` names a folder with the commands of C++
//! Nix, its server gets the same bytes in a store of the same name and must answer the same. Absent: what `daemon`'s own
//! tests show of single requests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use commands::in_own_store;

const HELLO: [u64; 2] = [0x390c_9deb, 0x207];
const ANSWER: [u64; 2] = [0x5452_eecb, 0x207];

/// Settings of a build: no limits, one build, nothing is kept.
const SETTINGS: [u64; 6] = [0; 6];

/// Bytes of the protocol.
#[derive(Default, Clone)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn numbers(mut self, all: &[u64]) -> Bytes {
        all.iter().for_each(|number| self.0.extend(number.to_le_bytes()));
        self
    }

    fn text(self, text: &str) -> Bytes {
        let mut bytes = self.numbers(&[text.len() as u64]);
        bytes.0.extend(text.bytes());
        bytes.0.resize(bytes.0.len().next_multiple_of(8), 0);
        bytes
    }

    fn texts(self, all: &[&str]) -> Bytes {
        all.iter().fold(self.numbers(&[all.len() as u64]), |bytes, text| bytes.text(text))
    }

    fn raw(mut self, bytes: &[u8]) -> Bytes {
        self.0.extend(bytes);
        self
    }
}

fn hello() -> Bytes {
    Bytes::default().numbers(&HELLO)
}

/// A store in a folder.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn command(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        in_own_store(&mut command, &self.folder, "").args(words).current_dir(&self.folder);
        command
    }

    /// Runs one of our commands, which must succeed.
    fn run(&self, words: &[&str]) -> String {
        let output = self.command(Path::new(env!("CARGO_BIN_EXE_firn")), words).output().expect("firn runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Hands requests to a server. They come from a file: a pipe that ends would end builds.
    fn serve(&self, server: &[&str], write: bool, requests: &Bytes) -> Output {
        fs::write(self.folder.join("requests"), &requests.0).expect("a file");
        let words: Vec<&str> =
            server[1..].iter().copied().chain(["--serve"]).chain(write.then_some("--write")).collect();
        let requests = File::open(self.folder.join("requests")).expect("a file");
        let server = self.command(Path::new(server[0]), &words).stdin(Stdio::from(requests)).output();
        server.expect("the server runs")
    }
}

const OURS: [&str; 2] = [env!("CARGO_BIN_EXE_firn"), "nix-store"];

const EXPRESSION: &str = r#"
let make = name: script: derivation { inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; };
in rec {
  low = make "low" "echo low > $out";
  high = make "high" "echo ${low} > $out; echo building >&2";
  bad = make "bad" "exit 3";
  worse = make "worse" "exit 4";
}
"#;

/// Has two servers answer the same requests in the same store: ours, and C++ Nix's if it is there.
fn answered(scenario: impl Fn(&Place, &[&str])) {
    let folder = tempfile::Builder::new().prefix("firn-serve-").tempdir().expect("a folder");
    let oracle = std::env::var_os("NIX_ORACLE").map(|folder| PathBuf::from(folder).join("nix-store"));
    let oracle = oracle.as_ref().map(|program| vec![program.to_str().expect("a plain name")]);
    for server in [Some(OURS.to_vec()), oracle].into_iter().flatten() {
        let place = Place { folder: folder.path().join("place") };
        fs::create_dir_all(place.folder.join("etc")).expect("a folder");
        fs::write(place.folder.join("x.nix"), EXPRESSION).expect("an expression");
        fs::write(place.folder.join("small"), "small").expect("a file");
        scenario(&place, &server);
        // The next one finds the same store.
        let mut remove = Command::new("/bin/sh");
        remove.args(["-c", "chmod -R u+w \"$0\" && rm -rf \"$0\""]).arg(&place.folder);
        assert!(remove.status().expect("a shell").success());
    }
}

fn expect(output: &Output, expected: &Bytes) {
    let (got, wanted) = (output.stdout.escape_ascii().to_string(), expected.0.escape_ascii().to_string());
    assert_eq!(got, wanted, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A store path that is nowhere.
fn nowhere(place: &Place) -> String {
    place.folder.join("store/00000000000000000000000000000000-nowhere").display().to_string()
}

#[test]
fn questions_are_answered() {
    answered(|place, server| {
        let small = place.run(&["nix-store", "--add", "small"]);
        let drv = place.run(&["nix-instantiate", "x.nix", "-A", "high"]);
        let closure = place.run(&["nix-store", "-qR", &drv]);
        let mut closure: Vec<&str> = closure.lines().collect();
        closure.sort_unstable();
        let (hash, nowhere) = (place.run(&["nix-store", "-q", "--hash", &small]), nowhere(place));
        let address = place.run(&["path-info", "--json", "--json-format", "1", &small]);
        let address = address.split("\"ca\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an address");
        let nar = fs::read(place.folder.join("small.nar")).unwrap_or_else(|_| {
            let dump = place.command(Path::new(OURS[0]), &["nix-store", "--dump", "small"]).output();
            dump.expect("firn runs").stdout
        });
        let requests = hello()
            .numbers(&[1, 1, 0])
            .texts(&[&nowhere, &small])
            .numbers(&[2])
            .texts(&[&small, &nowhere])
            .numbers(&[3])
            .text(&small)
            .numbers(&[7, 0])
            .texts(&[&drv])
            .numbers(&[7, 1])
            .texts(&[]);
        let expected = Bytes::default()
            .numbers(&ANSWER)
            .texts(&[&small])
            .text(&small)
            .text("")
            .texts(&[])
            .numbers(&[nar.len() as u64; 2])
            .text(&hash)
            .text(address)
            .texts(&[])
            .text("")
            .raw(&nar)
            .texts(&closure)
            .texts(&[]);
        expect(&place.serve(server, false, &requests), &expected);
        // An older client hears less.
        let old = Bytes::default().numbers(&[HELLO[0], 0x203, 2]).texts(&[&small]);
        let less = Bytes::default().numbers(&ANSWER).text(&small).text("").texts(&[]);
        expect(&place.serve(server, false, &old), &less.numbers(&[nar.len() as u64; 2]).text(""));
    });
}

#[test]
fn builds_are_done_and_their_failures_told() {
    answered(|place, server| {
        let drv = |name| place.run(&["nix-instantiate", "x.nix", "-A", name]);
        let (low, high, bad) = (drv("low"), drv("high"), drv("bad"));
        let output = |drv: &str| place.run(&["nix-store", "-q", "--outputs", drv]);
        let some = format!("{high}!out");
        let requests = hello().numbers(&[6]).texts(&[&some, &low]).numbers(&SETTINGS).numbers(&[6]).texts(&[&bad]);
        let output_of_builds = place.serve(server, true, &requests.numbers(&SETTINGS));
        let told = Bytes::default().numbers(&ANSWER).numbers(&[0, 100]);
        assert!(output_of_builds.stdout.starts_with(&told.0), "{}", output_of_builds.stdout.escape_ascii());
        let text = String::from_utf8_lossy(&output_of_builds.stdout[told.0.len()..]).into_owned();
        assert!(text.contains("builder failed with exit code 3"), "{text}");
        let errors = String::from_utf8_lossy(&output_of_builds.stderr);
        assert!(errors.contains("building") && !errors.contains(&high), "{errors}");
        place.run(&["nix-store", "--check-validity", &output(&low), &output(&high)]);
        // Of several that failed the names are told.
        let worse = drv("worse");
        fs::write(place.folder.join("etc/nix.conf"), "keep-going = true\n").expect("settings");
        let several = place.serve(server, true, &hello().numbers(&[6]).texts(&[&worse, &bad]).numbers(&SETTINGS));
        let text = String::from_utf8_lossy(&several.stdout).into_owned();
        assert!(several.stdout.starts_with(&Bytes::default().numbers(&ANSWER).numbers(&[100]).0), "{text}");
        assert!(
            text.contains(&format!("'{bad}', '{worse}'")) || text.contains(&format!("'{worse}', '{bad}'")),
            "{text}"
        );
        // The derivation by its parts, of a client that hears no times; its inputs are paths.
        let (low, high) = (output(&low), output(&high));
        place.run(&["nix-store", "--delete", &high]);
        let script = format!("echo {low} > $out; echo building >&2");
        let system = place.run(&["nix-instantiate", "--eval", "--raw", "-E", "builtins.currentSystem"]);
        let parts = |path: &str, out: &str| {
            Bytes::default()
                .numbers(&[8])
                .text(path)
                .numbers(&[1])
                .text("out")
                .text(out)
                .text("")
                .text("")
                .texts(&[&low])
                .text(&system)
                .text("/bin/sh")
                .texts(&["-c", &script])
                .numbers(&[1])
                .text("out")
                .text(out)
        };
        let path = format!("{}.drv", nowhere(place));
        let old = Bytes::default().numbers(&[HELLO[0], 0x202]).raw(&parts(&path, &high).0).numbers(&[0; 3]);
        expect(&place.serve(server, true, &old), &Bytes::default().numbers(&ANSWER).numbers(&[0]).text(""));
        assert_eq!(place.run(&["nix-store", "-q", "--deriver", &high]), path);
        // What is there already was not built at any time, and is told by the key that follows from the parts.
        let again = place.serve(server, true, &hello().raw(&parts(&path, &high).0).numbers(&SETTINGS));
        let known = Bytes::default().numbers(&ANSWER).numbers(&[2]).text("").numbers(&[0, 0, 0, 0, 1]);
        assert!(again.stdout.starts_with(&known.0), "{}", again.stdout.escape_ascii());
        let rest = &again.stdout[known.0.len()..];
        fs::write(place.folder.with_file_name(format!("key-{}", server.len())), rest).expect("a file");
        let name = Path::new(&high).file_name().expect("a name").to_string_lossy().into_owned();
        let rest = String::from_utf8_lossy(rest);
        assert!(rest.contains(&format!("!out\",\"outPath\":\"{name}\",\"signatures\":[]")), "{rest}");
        if server.len() == 1 {
            let kept = |which: usize| fs::read(place.folder.with_file_name(format!("key-{which}"))).expect("a file");
            assert_eq!(kept(1), kept(2));
        }
    });
}

#[test]
fn objects_are_brought() {
    answered(|place, server| {
        let small = place.run(&["nix-store", "--add", "small"]);
        let nar = place.command(Path::new(OURS[0]), &["nix-store", "--dump", "small"]).output().expect("firn runs");
        let exported =
            place.command(Path::new(OURS[0]), &["nix-store", "--export", &small]).output().expect("firn runs");
        let hash = place.run(&["nix-hash", "--type", "sha256", "small"]);
        let add = |nar: &[u8]| {
            let what = Bytes::default().numbers(&[9]).text(&small).text("").text(&hash).texts(&[]);
            what.numbers(&[7, nar.len() as u64, 1]).texts(&["key:AAAA"]).text("").raw(nar)
        };
        let done = Bytes::default().numbers(&ANSWER);
        place.run(&["nix-store", "--delete", &small]);
        let twice = hello().raw(&add(&nar.stdout).0).raw(&add(&nar.stdout).0);
        expect(&place.serve(server, true, &twice), &done.clone().numbers(&[1, 1]));
        let info = place.run(&["path-info", "--json", "--json-format", "1", &small]);
        assert!(info.contains("\"registrationTime\":7,\"signatures\":[\"key:AAAA\"]"), "{info}");
        place.run(&["nix-store", "--delete", &small]);
        let import = hello().numbers(&[4]).raw(&exported.stdout).numbers(&[1, 0, 0]).texts(&[&small]);
        expect(&place.serve(server, true, &import), &done.clone().numbers(&[1]).texts(&[&small]));
        // Other bytes than the hash's are not taken.
        place.run(&["nix-store", "--delete", &small]);
        let mut other = nar.stdout.clone();
        let at = other.windows(5).position(|bytes| bytes == b"small").expect("the contents");
        other[at] = b'S';
        let refused = place.serve(server, true, &hello().raw(&add(&other).0));
        assert_eq!(refused.stdout, done.0);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("hash mismatch"), "{refused:?}");
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert_eq!(place.run(&["nix-store", "--check-validity", "--print-invalid", &small]), small);
        // C++ Nix leaves what it did not register.
        assert!(server.len() == 1 || !Path::new(&small).exists());
    });
}

#[test]
fn what_cannot_be_served_ends_the_connection_and_changes_nothing() {
    answered(|place, server| {
        let small = place.run(&["nix-store", "--add", "small"]);
        let drv = place.run(&["nix-instantiate", "x.nix", "-A", "low"]);
        let refused = |write, requests: Bytes, answered: &[u64], why: &str| {
            let output = place.serve(server, write, &requests);
            assert_eq!(output.stdout, Bytes::default().numbers(answered).0, "{why}");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(1) && errors.contains(why), "{why}: {} {errors}", output.status);
        };
        refused(false, hello().numbers(&[4, 0]), &ANSWER, "importing paths is not allowed");
        refused(false, hello().numbers(&[9]).text(&small), &ANSWER, "importing paths is not allowed");
        refused(
            false,
            hello().numbers(&[6]).texts(&[&drv]).numbers(&SETTINGS),
            &ANSWER,
            "building paths is not allowed",
        );
        refused(false, hello().numbers(&[8]).text(&drv), &ANSWER, "building paths is not allowed");
        refused(true, hello().numbers(&[5]), &ANSWER, "unknown serve command 5");
        refused(true, hello().numbers(&[3]).text(&nowhere(place)), &ANSWER, "-nowhere' is not ");
        refused(true, hello().numbers(&[3]).text("/etc/passwd"), &ANSWER, "is not in the Nix store");
        let repeats = hello().numbers(&[6]).texts(&[&drv]).numbers(&[0, 0, 0, 1, 0, 0]);
        refused(true, repeats, &ANSWER, "client requested repeating builds, but this is not currently implemented");
        refused(true, Bytes::default().numbers(&[7, 0x207]), &[], "protocol mismatch");
        let valid = place.run(&["nix-store", "-q", "--requisites", &small, &drv]);
        let all = place.run(&["path-info", "--all"]);
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&all), sorted(&valid));
    });
}

#[test]
fn a_client_that_leaves_ends_its_build() {
    let folder = tempfile::Builder::new().prefix("firn-serve-").tempdir().expect("a folder");
    let place = Place { folder: folder.path().to_owned() };
    let script = "echo $$ > pid; mv pid $began; sleep 1000";
    let text = format!(
        "derivation {{ name = \"x\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
         PATH = \"/usr/bin:/bin\"; began = \"{}\"; args = [ \"-c\" ''{script}'' ]; }}",
        place.folder.join("began").display()
    );
    fs::write(place.folder.join("x.nix"), text).expect("an expression");
    let drv = place.run(&["nix-instantiate", "x.nix"]);
    let mut command = place.command(Path::new(OURS[0]), &["nix-store", "--serve", "--write"]);
    let mut server =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("firn starts");
    let mut client = server.stdin.take().expect("a pipe");
    let requests = hello().numbers(&[6]).texts(&[&drv]).numbers(&SETTINGS);
    std::io::Write::write_all(&mut client, &requests.0).expect("requests");
    while !place.folder.join("began").exists() {
        assert!(server.try_wait().expect("it is ours").is_none(), "it does not wait for the build");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(client);
    let ended = server.wait_with_output().expect("the server ends");
    assert!(ended.status.code() == Some(1) && String::from_utf8_lossy(&ended.stderr).contains("client"), "{ended:?}");
    let builder = fs::read_to_string(place.folder.join("began")).expect("a number");
    assert!(!Path::new("/proc").join(builder.trim()).exists(), "the builder lives");
}
