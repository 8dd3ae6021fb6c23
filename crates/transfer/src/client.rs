//! The blocking face of transfers.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use activity::{Activity, ActivityKind, Field, Verbosity};

use crate::engine::Engine;
use crate::error::{ErrorClass, TransferError};
use crate::options::TransferOptions;
use crate::receiver::Receiver;
use crate::retry;

/// What to ask for.
#[derive(Clone, Debug)]
pub struct Request {
    /// An http or https URL.
    pub url: String,
    /// More headers, name and value; they are for the first server only, not for those that it redirects to.
    pub headers: Vec<(String, String)>,
    /// The `ETag` of an earlier answer: if the thing is still that one, its bytes are not sent again.
    pub known_etag: Option<String>,
    /// The `Last-Modified` of an earlier answer, for servers without `ETag`.
    pub known_last_modified: Option<String>,
}

impl Request {
    /// Asks for a URL, no more.
    pub fn get(url: impl Into<String>) -> Self {
        Self { url: url.into(), headers: Vec::new(), known_etag: None, known_last_modified: None }
    }
}

/// What came besides the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The URL that answered, after redirects.
    pub url: String,
    /// All URLs on the way, from the one asked for to [`Response::url`].
    pub urls: Vec<String>,
    /// The thing is still the known one; the receiver got no bytes.
    pub unchanged: bool,
    /// The server's `Last-Modified`.
    pub last_modified: Option<String>,
    /// How many bytes the receiver got.
    pub size: u64,
    /// The server's `ETag`.
    pub etag: Option<String>,
    /// The URL of the `Link` header with `rel="immutable"`, if there is one.
    pub immutable_url: Option<String>,
}

/// Everything that goes out over HTTP. Cheap to make; share one by reference or `Arc`.
#[derive(Debug)]
pub struct Transfer {
    options: TransferOptions,
    engine: OnceLock<Engine>,
}

impl Transfer {
    /// A client that has done nothing yet.
    pub fn new(options: TransferOptions) -> Self {
        Self { options, engine: OnceLock::new() }
    }

    /// The knobs it was made with.
    pub fn options(&self) -> &TransferOptions {
        &self.options
    }

    /// Fetches a URL into a receiver, with the retries that the options allow.
    ///
    /// Opens an activity of kind file transfer under `activity` and reports bytes on it.
    ///
    /// # Errors
    /// Every [`TransferError`]; after one the receiver holds a part of the bytes or none.
    pub fn download(
        &self,
        activity: &Activity,
        request: &Request,
        receiver: &mut dyn Receiver,
    ) -> Result<Response, TransferError> {
        activity.check()?;
        let engine = self.engine()?;
        let text = format!("downloading '{}'", request.url);
        let fields = [Field::from(request.url.as_str())];
        let activity = activity.child_at(Verbosity::Talkative, ActivityKind::FileTransfer, &text, &fields);
        engine.download(&activity, &self.options, request, receiver, self.options.attempts.max(1))
    }

    /// Fetches from the first of several places that has the file, in their order. The receiver is told to restart
    /// between places.
    ///
    /// A place that does not answer costs one try, then the next one is asked; places that may answer later are asked
    /// again in further rounds, as many as a single place has tries. A transfer that breaks off in the middle goes on at
    /// its place.
    ///
    /// # Errors
    /// The error of the last place that was worth asking; [`TransferError::BadUrl`] where there is no place.
    pub fn download_first(
        &self,
        activity: &Activity,
        places: &[String],
        receiver: &mut dyn Receiver,
    ) -> Result<Response, TransferError> {
        if let [only] = places {
            return self.download(activity, &Request::get(only), receiver);
        }
        let mut left: Vec<&String> = places.iter().collect();
        let mut last = None;
        for round in 0..self.options.attempts.max(1) {
            if round > 0 && !left.is_empty() {
                self.pause(activity, round)?;
            }
            let mut again = Vec::new();
            for url in std::mem::take(&mut left) {
                if last.is_some() {
                    receiver.restart().map_err(|source| TransferError::Receiver { url: url.clone(), source })?;
                }
                match self.once(activity, url, receiver) {
                    Ok(response) => return Ok(response),
                    Err(error) if error.class() == ErrorClass::Cancelled => return Err(error),
                    Err(error @ TransferError::Receiver { .. }) => return Err(error),
                    Err(error) => {
                        if error.class() == ErrorClass::Transient {
                            again.push(url);
                        }
                        // What may pass says more about the failure than a place that never had the file.
                        let says_more = error.class() == ErrorClass::Transient || round == 0;
                        if says_more || last.is_none() {
                            last = Some(error);
                        }
                    }
                }
            }
            left = again;
        }
        let none = || TransferError::BadUrl { url: String::new(), reason: "no place to download from".into() };
        Err(last.unwrap_or_else(none))
    }

    fn once(&self, activity: &Activity, url: &str, receiver: &mut dyn Receiver) -> Result<Response, TransferError> {
        activity.check()?;
        let engine = self.engine()?;
        let (text, fields) = (format!("downloading '{url}'"), [Field::from(url)]);
        let activity = activity.child_at(Verbosity::Talkative, ActivityKind::FileTransfer, &text, &fields);
        engine.download(&activity, &self.options, &Request::get(url), receiver, 1)
    }

    /// Waits before another round, and hears the wish to stop.
    fn pause(&self, activity: &Activity, round: u32) -> Result<(), TransferError> {
        let until = Instant::now() + retry::pause(self.options.first_pause, round, 0);
        while Instant::now() < until {
            activity.check()?;
            std::thread::sleep((until - Instant::now()).min(Duration::from_millis(50)));
        }
        Ok(())
    }

    fn engine(&self) -> Result<&Engine, TransferError> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let fresh = Engine::start(&self.options)?;
        // Two threads may both make one; the later one is dropped unused.
        Ok(self.engine.get_or_init(|| fresh))
    }
}
