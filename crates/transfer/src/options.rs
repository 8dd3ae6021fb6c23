//! Every knob of a transfer. The session fills them from settings and environment; nothing here reads either.

use std::path::PathBuf;
use std::time::Duration;

use crate::netrc::Netrc;

/// The knobs.
#[derive(Clone, Debug)]
pub struct TransferOptions {
    /// Transfers at the same time (`http-connections`); 0 is no bound.
    pub connections: usize,
    /// Tries per URL (`download-attempts`).
    pub attempts: u32,
    /// Time to make a connection (`connect-timeout`).
    pub connect_timeout: Duration,
    /// Time without any byte (`stalled-download-timeout`).
    pub stalled_timeout: Duration,
    /// The first pause between tries; each further one is twice as long.
    pub first_pause: Duration,
    /// Speak HTTP/2 where the server does (`http2`).
    pub http2: bool,
    /// Proxies.
    pub proxies: Proxies,
    /// Certificate authorities in PEM instead of the machine's (`ssl-cert-file`).
    pub ca_file: Option<PathBuf>,
    /// Passwords by host (`netrc-file`).
    pub netrc: Netrc,
    /// What we call ourselves, with `user-agent-suffix`.
    pub user_agent: String,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            connections: 25,
            attempts: 5,
            connect_timeout: Duration::from_secs(15),
            stalled_timeout: Duration::from_secs(300),
            first_pause: Duration::from_millis(250),
            http2: true,
            proxies: Proxies::default(),
            ca_file: None,
            netrc: Netrc::default(),
            user_agent: concat!("firn/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Proxies, as the usual variables give them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// `http_proxy`.
    pub http: Option<String>,
    /// `https_proxy`.
    pub https: Option<String>,
    /// `all_proxy`.
    pub all: Option<String>,
    /// `no_proxy`: hosts, domains and networks, separated by commas.
    pub no_proxy: Option<String>,
}

impl Proxies {
    /// Takes them from variables. Lower case wins; `HTTP_PROXY` is not looked at, because a CGI program gets it from
    /// its client.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let either = |name: &str| get(name).or_else(|| get(&name.to_uppercase()));
        Self {
            http: get("http_proxy"),
            https: either("https_proxy"),
            all: either("all_proxy"),
            no_proxy: either("no_proxy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_come_from_the_usual_variables() {
        let proxies = Proxies::from_variables(|name| match name {
            "HTTP_PROXY" => Some("http://bad".into()),
            "HTTPS_PROXY" => Some("http://upper".into()),
            "all_proxy" => Some(String::new()),
            "no_proxy" => Some("localhost".into()),
            "NO_PROXY" => Some("other".into()),
            _ => None,
        });
        let expected =
            Proxies { http: None, https: Some("http://upper".into()), all: None, no_proxy: Some("localhost".into()) };
        assert_eq!(proxies, expected);
    }
}
