//! Transfers against a server of our own that does what each test tells it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use activity::{Activity, CancelToken, Silent};
use transfer::{ErrorClass, Netrc, Request, Transfer, TransferError, TransferOptions};

/// A server that gives one scripted answer per connection and remembers what it was asked.
struct Server {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((stream, _)) = listener.accept() else { return };
                log.lock().unwrap().push(read_head(&stream));
                let _ = (&stream).write_all(&answer);
            }
        });
        Self { base, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn read_head(stream: &TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
    head.to_lowercase()
}

fn answer(status: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n{body}").into_bytes()
}

fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", &[&format!("Content-Length: {}", body.len())], body)
}

fn options() -> TransferOptions {
    TransferOptions { first_pause: Duration::from_millis(1), ..TransferOptions::default() }
}

fn fetch(options: TransferOptions, url: &str) -> (Result<transfer::Response, TransferError>, String) {
    let mut body = Vec::new();
    let result = Transfer::new(options).download(&Activity::silent(), &Request::get(url), &mut body);
    (result, String::from_utf8(body).unwrap())
}

#[test]
fn a_file_comes_with_its_facts() {
    let headers = ["Content-Length: 5", "ETag: \"e\"", "Link: <http://x/y>; rel=\"immutable\""];
    let server = Server::new(vec![answer("200 OK", &headers, "hello")]);
    let (result, body) = fetch(options(), &format!("{}/a", server.base));
    let response = result.unwrap();
    assert_eq!(body, "hello");
    assert_eq!((response.size, response.etag.as_deref()), (5, Some("\"e\"")));
    assert_eq!(response.immutable_url.as_deref(), Some("http://x/y"));
    assert!(server.asked()[0].starts_with("get /a http/1.1"));
    assert!(server.asked()[0].contains("accept-encoding: identity"));
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_was() {
    let first = answer("200 OK", &["Content-Length: 10", "Accept-Ranges: bytes", "ETag: \"v1\""], "01234");
    let rest = answer("206 Partial Content", &["Content-Length: 5", "Content-Range: bytes 5-9/10"], "56789");
    let server = Server::new(vec![first, rest]);
    let (result, body) = fetch(options(), &server.base);
    assert_eq!((result.unwrap().size, body.as_str()), (10, "0123456789"));
    assert!(server.asked()[1].contains("range: bytes=5-"));
    assert!(server.asked()[1].contains("if-range: \"v1\""));
}

#[test]
fn a_server_that_cannot_continue_starts_anew() {
    for second in [ok("0123456789"), answer("206 Partial Content", &["Content-Range: bytes 0-9/10"], "0123456789")] {
        let first = answer("200 OK", &["Content-Length: 10", "Accept-Ranges: bytes"], "abc");
        let server = Server::new(vec![first, second]);
        let (result, body) = fetch(options(), &server.base);
        assert_eq!((result.unwrap().size, body.as_str()), (10, "0123456789"));
    }
}

#[test]
fn passing_errors_are_tried_again_and_lasting_ones_not() {
    let server = Server::new(vec![answer("503 Busy", &["Content-Length: 0", "Retry-After: 0"], ""), ok("x")]);
    assert_eq!(fetch(options(), &server.base).1, "x");
    let server = Server::new(vec![answer("404 Gone", &["Content-Length: 0"], ""), ok("x")]);
    let error = fetch(options(), &server.base).0.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert_eq!(error.to_string(), format!("unable to download '{}': HTTP error 404", server.base));
    assert_eq!(server.asked().len(), 1);
    let busy = answer("500 Oops", &["Content-Length: 0"], "");
    let server = Server::new(vec![busy.clone(), busy.clone(), busy]);
    let error = fetch(TransferOptions { attempts: 3, ..options() }, &server.base).0.unwrap_err();
    assert_eq!((error.class(), server.asked().len()), (ErrorClass::Transient, 3));
}

#[test]
fn redirects_stay_within_http_and_passwords_within_their_host() {
    let target = Server::new(vec![ok("there")]);
    let elsewhere = target.base.replace("127.0.0.1", "localhost");
    let server =
        Server::new(vec![answer("302 Found", &[&format!("Location: {elsewhere}/b"), "Content-Length: 0"], "")]);
    let netrc = Netrc::parse("machine 127.0.0.1 login me password secret");
    let (result, body) = fetch(TransferOptions { netrc, ..options() }, &format!("{}/a", server.base));
    assert_eq!((result.unwrap().url, body.as_str()), (format!("{elsewhere}/b"), "there"));
    assert!(server.asked()[0].contains("authorization: basic "));
    assert!(!target.asked()[0].contains("authorization"));
    for location in ["Location: file:///etc/passwd", "X: y"] {
        let server = Server::new(vec![answer("302 Found", &[location, "Content-Length: 0"], "")]);
        let error = fetch(options(), &server.base).0.unwrap_err();
        assert!(matches!(error, TransferError::BadUrl { .. }), "{error}");
    }
}

#[test]
fn the_first_place_that_has_it_serves() {
    let absent = Server::new(vec![answer("404 No", &["Content-Length: 3"], "no!")]);
    let broken = Server::new(vec![answer("200 OK", &["Content-Length: 9"], "half")]);
    let good = Server::new(vec![ok("whole")]);
    let places = [&absent, &broken, &good].map(|server| format!("{}/f", server.base));
    let mut body = Vec::new();
    let transfer = Transfer::new(TransferOptions { attempts: 1, ..options() });
    let response = transfer.download_first(&Activity::silent(), &places, &mut body).unwrap();
    assert_eq!((response.url, body.as_slice()), (places[2].clone(), b"whole".as_slice()));
    let none = transfer.download_first(&Activity::silent(), &[], &mut body).unwrap_err();
    assert!(matches!(none, TransferError::BadUrl { .. }));
}

#[test]
fn silent_places_are_asked_again_in_rounds() {
    let busy = || answer("503 Busy", &["Content-Length: 0"], "");
    let first = Server::new(vec![busy(), busy(), ok("late")]);
    let second = Server::new(vec![busy(), answer("404 No", &["Content-Length: 0"], "")]);
    let places = [&first, &second].map(|server| server.base.clone());
    let mut body = Vec::new();
    let transfer = Transfer::new(TransferOptions { attempts: 3, ..options() });
    transfer.download_first(&Activity::silent(), &places, &mut body).unwrap();
    assert_eq!(body, b"late");
    assert_eq!((first.asked().len(), second.asked().len()), (3, 2));
    // Nobody answers: the places are named by the error that may pass.
    let gone =
        ["http://127.0.0.1:1/x".to_owned(), Server::new(vec![answer("404 No", &["Content-Length: 0"], "")]).base];
    let error = transfer.download_first(&Activity::silent(), &gone, &mut body).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
}

#[test]
fn the_user_can_stop_a_silent_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let token = CancelToken::new();
    let activity = Activity::root(Arc::new(Silent), token.clone());
    let stopper = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        token.cancel();
        stream
    });
    let error = Transfer::new(options()).download(&activity, &Request::get(url), &mut Vec::new()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Cancelled);
    drop(stopper.join());
}

#[test]
fn a_proxy_is_asked_instead_of_the_host() {
    let proxy = Server::new(vec![ok("by proxy")]);
    let mut with_proxy = options();
    with_proxy.proxies.http = Some(proxy.base.clone());
    assert_eq!(fetch(with_proxy.clone(), "http://no.such.host.invalid/x").1, "by proxy");
    assert!(proxy.asked()[0].starts_with("get http://no.such.host.invalid/x"));
    let server = Server::new(vec![ok("direct")]);
    with_proxy.proxies.no_proxy = Some("127.0.0.1".into());
    assert_eq!(fetch(with_proxy, &server.base).1, "direct");
}

#[test]
fn what_is_no_http_url_is_refused() {
    for url in ["ftp://x/y", "nonsense", "file:///etc/passwd"] {
        assert!(matches!(fetch(options(), url).0, Err(TransferError::BadUrl { .. })), "{url}");
    }
}
