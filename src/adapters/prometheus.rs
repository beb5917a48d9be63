//! Prometheus' HTTP API, as far as a gate needs it: one instant query, POSTed to `/api/v1/query`
//! (prometheus/prometheus `docs/querying/api.md`).
//!
//! Connections are those of the kube client (hyper, rustls, ring and this machine's trust), which is in the binary anyway: what
//! a gate asks for is too little for a second HTTP stack, and this one follows no redirect, so that a token goes to no other
//! server than the declared one. No proxy of the environment is used. A query has a connection of its own, a bounded time and
//! a bounded answer.
//!
//! A token is read for each query, so that a file of it may change meanwhile, and is in nothing that leaves this module: what a
//! server says of it is made unreadable.

mod answer;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::ConfigExt as _;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::disk;
use super::kube::chain;
use crate::host::clause::{brief, cause};
use crate::ports::{Metrics, MetricsError, MetricsServer, Sample, SecretFrom};

/// The longest answer that is read. A gate's query gives a number for each thing that is watched, not for each series of a
/// large cluster.
const LONGEST: usize = 1024 * 1024;

/// How long a query may take. Prometheus itself gives up after two minutes unless told otherwise.
const AT_MOST: Duration = Duration::from_secs(30);

/// A token, or a file of authorities, is shorter than this.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Asks servers with Prometheus' API.
#[derive(Debug, Clone, Copy)]
pub struct Prometheus;

/// What is needed to ask a server is there: its token and the authorities of its certificate. Asks nothing.
///
/// # Errors
/// What is missing, or cannot be used.
pub fn ready(server: MetricsServer<'_>) -> Result<(), String> {
    token(server.token)?;
    client(server).map(drop)
}

#[async_trait(?Send)]
impl Metrics for Prometheus {
    async fn query(
        &self,
        server: MetricsServer<'_>,
        query: &str,
        at_most: Duration,
    ) -> Result<Vec<Sample>, MetricsError> {
        let token = token(server.token).map_err(MetricsError::Unusable)?;
        let at_most = at_most.min(AT_MOST);
        let asked =
            tokio::time::timeout(at_most, ask(server, query, token.as_ref(), at_most)).await;
        let answer = asked.unwrap_or_else(|_| {
            let after = at_most.as_secs();
            Err(MetricsError::Unanswered(format!(
                "no answer within {after} s"
            )))
        });
        match token {
            None => answer,
            Some(Token(token)) => hidden(answer, &token),
        }
    }
}

async fn ask(
    server: MetricsServer<'_>,
    query: &str,
    token: Option<&Token>,
    at_most: Duration,
) -> Result<Vec<Sample>, MetricsError> {
    let unusable = |why: String| MetricsError::Unusable(why);
    let client = client(server).map_err(unusable)?;
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("query", query)
        .append_pair("timeout", &format!("{}s", at_most.as_secs().max(1)))
        .finish();
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/api/v1/query", server.url))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("refit/", env!("CARGO_PKG_VERSION")));
    if let Some(Token(token)) = token {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| unusable("its token cannot be sent".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request
        .body(body)
        .map_err(|error| unusable(format!("its URL cannot be used: {error}")))?;
    let response = client.request(request).await.map_err(|error| {
        let said = chain(&error);
        let why = cause(&said).map_or_else(|| brief(&said), str::to_owned);
        if said.contains("invalid peer certificate") {
            MetricsError::Refused(format!("it is not trusted: {why}"))
        } else {
            MetricsError::Unanswered(why)
        }
    })?;
    let status = response.status();
    if status.is_redirection() {
        return Err(redirected(&response));
    }
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let body = match body {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() && status.is_success() => {
            return Err(unusable(format!(
                "its answer is longer than {LONGEST} bytes; let the query aggregate, as `sum` or `max` do"
            )));
        }
        Err(error) if error.is::<LengthLimitError>() => Default::default(),
        Err(error) => {
            let said = chain(error.as_ref());
            let why = cause(&said).map_or_else(|| brief(&said), str::to_owned);
            return Err(MetricsError::Unanswered(format!(
                "its answer was cut off: {why}"
            )));
        }
    };
    if status.is_success() {
        return answer::samples(&body);
    }
    let said = answer::complaint(&body);
    let told = match &said {
        Some(said) => format!("it answers {status}: {}", brief(&said.words)),
        None => format!("it answers {status}"),
    };
    Err(match status {
        StatusCode::BAD_REQUEST if said.is_some_and(|said| said.of_the_query) => {
            MetricsError::Unusable(told)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            MetricsError::Refused(match server.token {
                None => format!("{told}; no token is declared (`tokenFrom`)"),
                Some(from) => format!("{told}; the token of {from} is not taken"),
            })
        }
        _ => MetricsError::Unanswered(told),
    })
}

/// Where it leads to, without what might be secret in it.
fn redirected<B>(response: &Response<B>) -> MetricsError {
    let to = response.headers().get(LOCATION);
    let to = to.and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
    let to = to.split(['?', '#']).next().unwrap_or_default();
    let to: String = match to.contains('@') {
        true => "a place with a login in it".to_owned(),
        false => to.chars().take(160).collect(),
    };
    MetricsError::Refused(format!(
        "it redirects ({}) to {to}; redirects are not followed, so the URL must be where they lead",
        response.status()
    ))
}

/// A client that trusts what the server's declaration says.
fn client(
    server: MetricsServer<'_>,
) -> Result<Client<impl Connect + Clone + Send + Sync + 'static, String>, String> {
    let url: Uri = server
        .url
        .parse()
        .map_err(|error| format!("its URL cannot be used: {error}"))?;
    let mut config = Config::new(url);
    if let Some(path) = server.ca_file {
        config.root_cert = Some(authorities(path)?);
    }
    let connector = config
        .rustls_https_connector()
        .map_err(|error| match server.ca_file {
            Some(path) => format!("the authorities in {}: {}", path.display(), chain(&error)),
            None => format!("this machine's authorities: {}", chain(&error)),
        })?;
    // A gate may wait for minutes between two queries, and what it asks may have moved.
    Ok(Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector))
}

/// The certificates in a PEM file, of which there is at least one.
fn authorities(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let place = path.display();
    let text = disk::read_up_to(path, FILE_LIMIT)
        .map_err(|error| format!("the authorities in {place} cannot be read: {error}"))?;
    let found: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&text)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the authorities in {place} are not PEM: {error}"))?;
    match found.is_empty() {
        true => Err(format!("{place} holds no certificate in PEM")),
        false => Ok(found),
    }
}

/// A bearer token. It has no `Debug`, so that no message shows it by accident.
struct Token(String);

fn token(from: Option<SecretFrom<'_>>) -> Result<Option<Token>, String> {
    let Some(from) = from else {
        return Ok(None);
    };
    let text = match from {
        SecretFrom::Variable(name) => std::env::var(name).map_err(|error| match error {
            std::env::VarError::NotPresent => format!("{from} is not set"),
            std::env::VarError::NotUnicode(_) => format!("{from} is no text"),
        })?,
        SecretFrom::File(path) => {
            let bytes = disk::read_up_to(path, FILE_LIMIT)
                .map_err(|error| format!("{from} cannot be read: {error}"))?;
            String::from_utf8(bytes).map_err(|_| format!("{from} is no text"))?
        }
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("{from} is empty"));
    }
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Some(Token(text.to_owned()))),
        false => Err(format!(
            "{from} holds more than a token: a space, or a character of no token"
        )),
    }
}

/// An answer without the token, should the server have said it.
fn hidden(
    answer: Result<Vec<Sample>, MetricsError>,
    token: &str,
) -> Result<Vec<Sample>, MetricsError> {
    let hide = |text: String| text.replace(token, "(the token)");
    match answer {
        Ok(samples) => Ok(samples
            .into_iter()
            .map(|sample| Sample {
                series: hide(sample.series),
                ..sample
            })
            .collect()),
        Err(MetricsError::Unanswered(why)) => Err(MetricsError::Unanswered(hide(why))),
        Err(MetricsError::Refused(why)) => Err(MetricsError::Refused(hide(why))),
        Err(MetricsError::Unusable(why)) => Err(MetricsError::Unusable(hide(why))),
    }
}
