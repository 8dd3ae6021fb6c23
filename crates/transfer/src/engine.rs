//! The runtime behind the blocking face: one thread that drives connections, one client that pools them.
//!
//! The caller's own thread runs the steps of its transfer (`block_on`) and hands each piece to the receiver, so a slow
//! receiver slows its own connection only. Ten times a second it looks whether the user wants the end. Redirects are
//! followed here, so that each hop is checked (http and https only) and asks the netrc for its own host.

use std::time::Duration;

use activity::Activity;
use reqwest::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, LAST_MODIFIED, LINK, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Client, StatusCode, Url};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::client::{Request, Response};
use crate::error::{ErrorClass, TransferError};
use crate::options::TransferOptions;
use crate::receiver::Receiver;
use crate::{retry, trust};

const MOST_REDIRECTS: usize = 10;
const TICK: Duration = Duration::from_millis(100);

/// Runtime and connections.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Taken when dropped only.
    runtime: Option<tokio::runtime::Runtime>,
    handle: tokio::runtime::Handle,
    client: Client,
    slots: Semaphore,
}

/// How far a transfer has come, kept over its tries.
#[derive(Default)]
struct Progress {
    received: u64,
    /// The validator to continue with; `None` where the server cannot continue.
    resume: Option<String>,
}

impl Engine {
    pub(crate) fn start(options: &TransferOptions) -> Result<Self, TransferError> {
        let fail = |reason: String| TransferError::Start { reason };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("transfer")
            .enable_all()
            .build()
            .map_err(|error| fail(error.to_string()))?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(trust::config(options)?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(options.connect_timeout)
            .user_agent(&options.user_agent)
            .referer(false)
            .no_proxy();
        if !options.http2 {
            builder = builder.http1_only();
        }
        for proxy in proxies(options)? {
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|error| fail(chain(&error)))?;
        let slots = if options.connections == 0 { Semaphore::MAX_PERMITS } else { options.connections };
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle, client, slots: Semaphore::new(slots) })
    }

    pub(crate) fn download(
        &self,
        activity: &Activity,
        options: &TransferOptions,
        request: &Request,
        receiver: &mut dyn Receiver,
        attempts: u32,
    ) -> Result<Response, TransferError> {
        self.handle.block_on(async {
            let mut progress = Progress::default();
            let mut attempt = 0;
            loop {
                let mut wanted_pause = None;
                let permit = cancellable(activity, self.slots.acquire()).await?;
                let result = self.attempt(activity, options, request, receiver, &mut progress, &mut wanted_pause).await;
                drop(permit);
                attempt += 1;
                match result {
                    // What has begun to come is worth going on with, however few tries a silent place is given.
                    Err(error)
                        if error.class() == ErrorClass::Transient
                            && attempt
                                < if progress.received > 0 { options.attempts.max(attempts) } else { attempts } =>
                    {
                        let entropy = std::time::SystemTime::now()
                            .duration_since(std::time::UNIX_EPOCH)
                            .map_or(0, |now| u64::from(now.subsec_nanos()));
                        let pause =
                            retry::pause(options.first_pause, attempt, entropy).max(wanted_pause.unwrap_or_default());
                        activity.warn(&format!("{error}; retrying in {} ms", pause.as_millis()));
                        cancellable(activity, tokio::time::sleep(pause)).await?;
                    }
                    other => return other,
                }
            }
        })
    }

    /// One try: ask, follow redirects, hand the bytes over.
    async fn attempt(
        &self,
        activity: &Activity,
        options: &TransferOptions,
        request: &Request,
        receiver: &mut dyn Receiver,
        progress: &mut Progress,
        wanted_pause: &mut Option<Duration>,
    ) -> Result<Response, TransferError> {
        let (mut answer, urls) = self.ask(activity, options, request, progress).await?;
        let url = answer.url().to_string();
        let status = answer.status();
        let etag = header(answer.headers(), ETAG.as_str()).map(str::to_owned);
        let last_modified = header(answer.headers(), LAST_MODIFIED.as_str()).map(str::to_owned);
        let immutable_url = header(answer.headers(), LINK.as_str()).and_then(immutable_link);
        let asked = request.known_etag.is_some() || request.known_last_modified.is_some();
        // Some servers send everything though nothing changed.
        let same = status.is_success() && etag.is_some() && etag == request.known_etag;
        if asked && (status == StatusCode::NOT_MODIFIED || same) {
            return Ok(Response { url, urls, unchanged: true, size: 0, etag, last_modified, immutable_url });
        }
        if !status.is_success() {
            if status == StatusCode::RANGE_NOT_SATISFIABLE && progress.received > 0 {
                // The file changed; begin anew.
                restart(receiver, progress, &url)?;
                return Err(TransferError::Network {
                    url,
                    reason: "the server cannot continue".into(),
                    transient: true,
                });
            }
            *wanted_pause = header(answer.headers(), RETRY_AFTER.as_str()).and_then(retry::retry_after);
            let body = said(activity, options, answer).await?;
            return Err(TransferError::Status { url: request.url.clone(), status: status.as_u16(), body });
        }
        if progress.received > 0 {
            let range = header(answer.headers(), CONTENT_RANGE.as_str()).unwrap_or_default();
            if status != StatusCode::PARTIAL_CONTENT || !retry::continues_at(range, progress.received) {
                restart(receiver, progress, &url)?;
            }
        }
        progress.resume = resumable(answer.headers()).then(|| etag.clone().unwrap_or_default());
        let expected = progress.received + answer.content_length().unwrap_or(0);
        activity.progress(progress.received, expected, 0, 0);
        let mut reported = progress.received;
        loop {
            let network = |error: reqwest::Error| network(&url, &error);
            let chunk = match cancellable(activity, timeout(options.stalled_timeout, answer.chunk())).await? {
                Ok(chunk) => chunk.map_err(network)?,
                Err(_) => return Err(stalled(&url)),
            };
            let Some(chunk) = chunk else { break };
            receiver.data(&chunk).map_err(|source| TransferError::Receiver { url: url.clone(), source })?;
            progress.received += chunk.len() as u64;
            if progress.received - reported >= 1 << 18 {
                reported = progress.received;
                activity.progress(reported, expected.max(reported), 0, 0);
            }
        }
        activity.progress(progress.received, expected.max(progress.received), 0, 0);
        Ok(Response { url, urls, unchanged: false, size: progress.received, etag, last_modified, immutable_url })
    }

    /// Asks, and follows redirects, until an answer that is none.
    async fn ask(
        &self,
        activity: &Activity,
        options: &TransferOptions,
        request: &Request,
        progress: &Progress,
    ) -> Result<(reqwest::Response, Vec<String>), TransferError> {
        let bad = |url: &str, reason: &str| TransferError::BadUrl { url: url.to_owned(), reason: reason.to_owned() };
        let mut url = Url::parse(&request.url).map_err(|error| bad(&request.url, &error.to_string()))?;
        let mut urls = vec![request.url.clone()];
        for hop in 0..=MOST_REDIRECTS {
            if !matches!(url.scheme(), "http" | "https") {
                return Err(bad(url.as_str(), "only http and https are fetched"));
            }
            let mut outgoing = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
            if hop == 0 {
                for (name, value) in &request.headers {
                    outgoing = outgoing.header(name, value);
                }
            }
            if let Some(etag) = &request.known_etag {
                outgoing = outgoing.header(IF_NONE_MATCH, etag);
            } else if let Some(time) = &request.known_last_modified {
                outgoing = outgoing.header(IF_MODIFIED_SINCE, time);
            }
            if url.username().is_empty()
                && let Some((login, password)) = url.host_str().and_then(|host| options.netrc.find(host))
            {
                outgoing = outgoing.basic_auth(login, Some(password));
            }
            if let Some(validator) = progress.resume.as_ref().filter(|_| progress.received > 0) {
                outgoing = outgoing.header(RANGE, format!("bytes={}-", progress.received));
                if !validator.is_empty() {
                    outgoing = outgoing.header(IF_RANGE, validator);
                }
            }
            let answer = match cancellable(activity, timeout(options.stalled_timeout, outgoing.send())).await? {
                Ok(answer) => answer.map_err(|error| network(url.as_str(), &error))?,
                Err(_) => return Err(stalled(url.as_str())),
            };
            if !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
                return Ok((answer, urls));
            }
            let target = header(answer.headers(), LOCATION.as_str())
                .ok_or_else(|| bad(url.as_str(), "the server redirects without saying where"))?;
            url = url.join(target).map_err(|error| bad(target, &error.to_string()))?;
            urls.push(url.to_string());
        }
        Err(bad(&request.url, "too many redirects"))
    }
}

impl Drop for Engine {
    /// A look-up of a name cannot be called off, and nobody waits for one that is not wanted any more.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits for `work`, and looks at the wish to stop in between.
async fn cancellable<T>(activity: &Activity, work: impl Future<Output = T>) -> Result<T, TransferError> {
    let mut work = std::pin::pin!(work);
    loop {
        activity.check()?;
        if let Ok(done) = timeout(TICK, work.as_mut()).await {
            return Ok(done);
        }
    }
}

/// What an answer that is an error says: all of a short one, or the beginning of a page.
async fn said(
    activity: &Activity,
    options: &TransferOptions,
    mut answer: reqwest::Response,
) -> Result<Option<String>, TransferError> {
    const SHORT: usize = 1024;
    const PAGE: usize = 64 << 10;
    let mut bytes = Vec::new();
    while bytes.len() < PAGE {
        // The status is the error to report, whatever becomes of the words.
        match cancellable(activity, timeout(options.stalled_timeout, answer.chunk())).await? {
            Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
            _ => break,
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok((!text.is_empty() && (text.len() < SHORT || text.contains("<html>"))).then_some(text))
}

fn restart(receiver: &mut dyn Receiver, progress: &mut Progress, url: &str) -> Result<(), TransferError> {
    *progress = Progress::default();
    receiver.restart().map_err(|source| TransferError::Receiver { url: url.to_owned(), source })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a broken transfer of this answer can go on in the middle.
fn resumable(headers: &HeaderMap) -> bool {
    let ranges = header(headers, ACCEPT_RANGES.as_str()).is_some_and(|value| value.eq_ignore_ascii_case("bytes"));
    (ranges || headers.contains_key(CONTENT_RANGE)) && !headers.contains_key(CONTENT_ENCODING)
}

/// The target of `<URL>; rel="immutable"`.
fn immutable_link(value: &str) -> Option<String> {
    value.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let immutable = parameters.split(';').any(|parameter| {
            parameter.trim().strip_prefix("rel=").is_some_and(|value| value.trim_matches('"') == "immutable")
        });
        immutable.then(|| target.to_owned())
    })
}

fn stalled(url: &str) -> TransferError {
    TransferError::Network { url: url.to_owned(), reason: "no data came for too long".into(), transient: true }
}

fn network(url: &str, error: &reqwest::Error) -> TransferError {
    // A server that is not believed will not be next time.
    let complaint = trust::complaint(error);
    let transient = complaint.is_none() && !error.is_builder();
    TransferError::Network { url: url.to_owned(), reason: complaint.unwrap_or_else(|| chain(error)), transient }
}

/// An error with all its causes in one line, without the URL, which the caller names.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = error.source().or(Some(error));
    while let Some(cause) = next {
        let part = cause.to_string();
        if !text.ends_with(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        next = cause.source();
    }
    text
}

fn proxies(options: &TransferOptions) -> Result<Vec<reqwest::Proxy>, TransferError> {
    let given = &options.proxies;
    let exceptions = given.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
    let mut proxies = Vec::new();
    type Make = fn(&str) -> reqwest::Result<reqwest::Proxy>;
    let kinds: [(&Option<String>, Make); 3] = [
        (&given.http, |url| reqwest::Proxy::http(url)),
        (&given.https, |url| reqwest::Proxy::https(url)),
        (&given.all, |url| reqwest::Proxy::all(url)),
    ];
    for (url, make) in kinds {
        if let Some(url) = url {
            let proxy = make(url)
                .map_err(|error| TransferError::Start { reason: format!("proxy '{url}': {}", chain(&error)) })?;
            proxies.push(proxy.no_proxy(exceptions.clone()));
        }
    }
    Ok(proxies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_immutable_link_is_found_among_others() {
        let value = r#"<https://a/x>; rel="next", <https://a/y>; type=z; rel="immutable""#;
        assert_eq!(immutable_link(value).as_deref(), Some("https://a/y"));
        assert_eq!(immutable_link("<https://a/x>; rel=immutable").as_deref(), Some("https://a/x"));
        assert_eq!(immutable_link("nonsense"), None);
    }
}
