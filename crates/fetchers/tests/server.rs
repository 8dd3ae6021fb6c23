//! A web server for tests: named contents with their tags; what it was asked is remembered.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is served under a name.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Bytes; their tag is a number that changes with them.
    Bytes(Vec<u8>, u32),
    /// Bytes with a `Link` to where they will always be.
    Immutable(Vec<u8>, String),
    /// Another name.
    Redirect(String),
}

/// The server.
pub struct Server {
    pub base: String,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answers: Arc<Mutex<BTreeMap<String, Answer>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (served, log) = (Arc::clone(&answers), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (served, log) = (Arc::clone(&served), Arc::clone(&log));
                std::thread::spawn(move || serve(stream, &served, &log));
            }
        });
        Self { base, answers, asked }
    }

    pub fn put(&self, name: &str, answer: Answer) -> String {
        self.answers.lock().unwrap().insert(name.to_owned(), answer);
        format!("{}/{name}", self.base)
    }

    pub fn remove(&self, name: &str) {
        self.answers.lock().unwrap().remove(name);
    }

    /// What was asked since the last question: the name, and what came of it.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(stream: TcpStream, answers: &Mutex<BTreeMap<String, Answer>>, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(&stream);
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let mut known = None;
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("if-none-match")
        {
            known = Some(value.trim().to_owned());
        }
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let name = path.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
    let answer = answers.lock().unwrap().get(&name).cloned();
    let (status, headers, body) = match answer {
        Some(Answer::Bytes(_, tag)) if known.as_deref() == Some(&format!("\"{tag}\"")) => {
            ("304 Not Modified", format!("ETag: \"{tag}\"\r\n"), Vec::new())
        }
        Some(Answer::Bytes(bytes, tag)) => ("200 OK", format!("ETag: \"{tag}\"\r\n"), bytes),
        Some(Answer::Immutable(bytes, url)) => ("200 OK", format!("Link: <{url}>; rel=\"immutable\"\r\n"), bytes),
        Some(Answer::Redirect(to)) => ("302 Found", format!("Location: /{to}\r\n"), Vec::new()),
        None => ("404 Not Found", String::new(), b"nothing here\n".to_vec()),
    };
    log.lock().unwrap().push(format!("{name} {}", &status[..3]));
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(&body));
}
