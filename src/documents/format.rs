//! The formats of scalars: what is valid, how it is described to people, how JSON Schema sees it.
//!
//! One enum, so that reading and the generated schemas cannot disagree about which format a field has.

use crate::rules::hazards::Hops;
use crate::rules::version::{Minor, Version};

use super::comparison::Comparison;
use super::error::nearest;
use super::range::Pattern;
use super::{cron, duration, names, selector, url};

/// The format of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `1.35.4`.
    Release,
    /// `1.35`.
    Minor,
    /// `1.35`, `1.35..` or `1.31..1.33`.
    Hops,
    /// `15m`, `1h30m`.
    Duration,
    /// The same, in whole seconds, which is how plans count, and not zero.
    Timeout,
    /// The same, in whole seconds, which is all that the Kubernetes API can say.
    Seconds,
    /// `2` or `20%`.
    Share,
    /// A count; 0 included.
    Count,
    /// A count from 1.
    Positive,
    /// A TCP port.
    Port,
    /// A DNS-1123 subdomain: a document, group, host or node name.
    Name,
    /// The same, with a range such as `w[1-3]`.
    NameRange,
    /// An IP address or a DNS name.
    Address,
    /// The same, with a range.
    AddressRange,
    /// A POSIX login.
    Login,
    /// A label's key.
    LabelKey,
    /// A label's value.
    LabelValue,
    /// `pool=canary,!spot`.
    Selector,
    /// A path on this machine.
    Path,
    /// An absolute path on the hosts.
    HostPath,
    /// A URL, possibly with `{minor}` and `{format}`.
    PackageUrl,
    /// The same, or a path on this machine.
    KeyLocation,
    /// A URL.
    Url,
    /// A URL of a server's, to which a path is added.
    ServerUrl,
    /// A preflight check, as kubeadm prints it.
    Preflight,
    /// A kubeadm phase, such as `addon/coredns`.
    Phase,
    /// Five fields.
    Cron,
    /// An IANA time zone.
    TimeZone,
    /// `2027-01-31`.
    Date,
    /// The name of an environment variable.
    Variable,
    /// `< 1`.
    Comparison,
    /// An age recipient.
    Recipient,
    /// One line of any text.
    Line,
}

/// A reason beside the format's description.
pub(super) type Why = Option<String>;

impl Format {
    /// Whether the text is valid; if not, perhaps why.
    pub fn check(self, text: &str) -> Result<(), Why> {
        let plainly = |right: bool| if right { Ok(()) } else { Err(None) };
        match self {
            Self::Release => release(text),
            Self::Minor => plainly(!text.starts_with('v') && text.parse::<Minor>().is_ok()),
            Self::Hops => text.parse::<Hops>().map(drop).map_err(Some),
            Self::Duration => plainly(duration::parse(text).is_some()),
            Self::Timeout => plainly(
                duration::parse(text)
                    .is_some_and(|time| !time.is_zero() && time.subsec_nanos() == 0),
            ),
            Self::Seconds => {
                plainly(duration::parse(text).is_some_and(|time| time.subsec_nanos() == 0))
            }
            Self::Share => plainly(share(text).is_some()),
            Self::Count => plainly(count(text).is_some()),
            Self::Positive => plainly(count(text).is_some_and(|count| count > 0)),
            Self::Port => plainly(count(text).is_some_and(|port| (1..=65_535).contains(&port))),
            Self::Name => plainly(names::is_dns_subdomain(text)),
            Self::NameRange => range(text, names::is_dns_subdomain),
            Self::Address => plainly(names::is_address(text)),
            Self::AddressRange => range(text, names::is_address),
            Self::Login => plainly(names::is_login(text)),
            Self::LabelKey => plainly(names::is_label_key(text)),
            Self::LabelValue => plainly(names::is_label_value(text)),
            Self::Selector => selector::parse(text)
                .map(drop)
                .map_err(|why| Some(why.to_owned())),
            Self::Path => path(text),
            Self::HostPath => plainly(
                text.starts_with('/')
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"/._-+@:".contains(&b))
                    && !text.split('/').any(|part| part == ".."),
            ),
            Self::PackageUrl => url::check(text, url::PACKAGE).map_err(Some),
            Self::KeyLocation if url::is_url(text) => url::check(text, url::PACKAGE).map_err(Some),
            Self::KeyLocation => path(text),
            Self::Url => url::check(text, &[]).map_err(Some),
            Self::ServerUrl => url::check_server(text).map_err(Some),
            Self::Preflight if text.eq_ignore_ascii_case("all") => Err(Some(
                "`all` would hide checks that nobody has read; list them by name".to_owned(),
            )),
            Self::Preflight => plainly(word(text, b"-_./")),
            Self::Phase => plainly(word(text, b"-/")),
            Self::Cron => plainly(cron::is_cron(text)),
            Self::TimeZone => plainly(text.is_ascii() && jiff::tz::TimeZone::get(text).is_ok()),
            Self::Date => plainly(text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()),
            Self::Variable => {
                plainly(word(text, b"_") && !text.starts_with(|c: char| c.is_ascii_digit()))
            }
            Self::Comparison => plainly(text.parse::<Comparison>().is_ok()),
            Self::Recipient => text
                .parse::<age::x25519::Recipient>()
                .map(drop)
                .map_err(|why| Some(why.to_owned())),
            Self::Line => plainly(!text.is_empty() && !text.chars().any(char::is_control)),
        }
    }

    /// What is expected, to follow "expected".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Release => "a release such as 1.35.4",
            Self::Minor => "a minor such as \"1.35\"",
            Self::Hops => "minors such as \"1.35\", \"1.35..\" or \"1.31..1.33\"",
            Self::Duration => "a duration such as 15m, 24h or 1h30m",
            Self::Timeout => "a duration of whole seconds above zero such as 30s, 15m or 1h30m",
            Self::Seconds => "a duration in whole seconds such as 30s or 2m",
            Self::Share => "a count such as 2, or a share such as 20%",
            Self::Count => "a whole number",
            Self::Positive => "a whole number from 1",
            Self::Port => "a port from 1 to 65535",
            Self::Name => "a DNS name in lower case: letters, digits, `-` and `.`",
            Self::NameRange => "a DNS name in lower case, which may hold a range such as w[1-3]",
            Self::Address => "an IP address or a DNS name",
            Self::AddressRange => {
                "an IP address or a DNS name, which may hold a range such as 10.0.0.[1-3]"
            }
            Self::Login => "a login name: lower-case letters, digits, `_` and `-`",
            Self::LabelKey => "a label's key such as pool or example.org/pool",
            Self::LabelValue => "a label's value: at most 63 letters, digits, `-`, `_` and `.`",
            Self::Selector => "a label selector such as pool=canary or \"zone in (a, b)\"",
            Self::Path => "a path on this machine",
            Self::HostPath => "an absolute path on the hosts",
            Self::PackageUrl => "a URL (http, https or file), which may hold {minor} and {format}",
            Self::KeyLocation => {
                "a URL, which may hold {minor} and {format}, or a file beside this one"
            }
            Self::Url => "a URL (http, https or file)",
            Self::ServerUrl => "a server's URL such as https://prometheus.example.org",
            Self::Preflight => "the name of a preflight check such as Swap",
            Self::Phase => "a phase of kubeadm such as addon/coredns",
            Self::Cron => "minute, hour, day, month and weekday such as \"0 2 * * SUN\"",
            Self::TimeZone => "a time zone such as Europe/Berlin",
            Self::Date => "a date such as 2027-01-31",
            Self::Variable => "the name of an environment variable",
            Self::Comparison => "a comparison such as \"< 1\"",
            Self::Recipient => {
                "an age recipient such as age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"
            }
            Self::Line => "one line of text",
        }
    }

    /// The valid text that may have been meant, where all of them are known.
    pub fn suggest(self, text: &str) -> Option<String> {
        match self {
            Self::TimeZone => {
                let known = jiff::tz::db().available();
                let known: Vec<String> = known.map(|name| name.as_str().to_owned()).collect();
                nearest(text, known.iter().map(String::as_str)).map(str::to_owned)
            }
            _ => None,
        }
    }

    /// Written without quotes, these are numbers in YAML.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Count | Self::Positive | Self::Port)
    }

    /// These can be numbers in YAML.
    pub fn may_be_number(self) -> bool {
        self.is_number() || self == Self::Share
    }

    /// A pattern for editors; looser than [`Self::check`], never stricter.
    pub fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Release => Some(r"^1\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$"),
            Self::Minor => Some(r"^[0-9]+\.[0-9]+$"),
            Self::Hops => Some(r"^[0-9]+\.[0-9]+(\.\.([0-9]+\.[0-9]+)?)?$"),
            Self::Duration | Self::Timeout | Self::Seconds => {
                Some(r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$")
            }
            Self::Share => Some(r"^[0-9]+%?$"),
            Self::Name => Some(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"),
            Self::NameRange => Some(r"^[a-z0-9.\[\]-]+$"),
            Self::Address => Some(r"^[A-Za-z0-9:][A-Za-z0-9:.-]*$"),
            Self::AddressRange => Some(r"^[A-Za-z0-9:\[][A-Za-z0-9:.\[\]-]*$"),
            Self::Login => Some(r"^[a-z_][a-z0-9_-]*$"),
            Self::HostPath => Some("^/"),
            Self::Date => Some(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
            Self::PackageUrl | Self::Url => Some(r"^(https?|file)://"),
            Self::ServerUrl => Some(r"^https?://"),
            Self::Preflight => Some(r"^[A-Za-z0-9._/-]+$"),
            Self::Variable => Some(r"^[A-Za-z_][A-Za-z0-9_]*$"),
            Self::Comparison => Some(r"^(<=?|>=?|==|!=) *[-+]?[.0-9]"),
            Self::Count
            | Self::Positive
            | Self::Port
            | Self::LabelKey
            | Self::LabelValue
            | Self::Selector
            | Self::Path
            | Self::KeyLocation => None,
            Self::Phase | Self::Cron | Self::TimeZone | Self::Recipient | Self::Line => None,
        }
    }

    /// Whether two valid texts mean the same.
    pub fn same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Duration | Self::Timeout | Self::Seconds => {
                duration::parse(one) == duration::parse(other)
            }
            Self::Count | Self::Positive | Self::Port => count(one) == count(other),
            _ => one == other,
        }
    }
}

/// A whole number without sign, and without leading zeros: older YAML reads those as octal.
pub(super) fn count(text: &str) -> Option<u32> {
    let octal = text.len() > 1 && text.starts_with('0');
    if octal || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A count from 1, or a percentage from 1 to 100.
pub(super) fn share(text: &str) -> Option<super::settings::Share> {
    use super::settings::Share;
    match text.strip_suffix('%') {
        Some(percent) => count(percent)
            .filter(|percent| (1..=100).contains(percent))
            .map(Share::Percent),
        None => count(text).filter(|count| *count > 0).map(Share::Count),
    }
}

fn word(text: &str, besides: &[u8]) -> bool {
    text.bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || besides.contains(&b))
}

fn release(text: &str) -> Result<(), Why> {
    // The community's repositories, and the packages that refit knows how to install, begin here:
    // https://kubernetes.io/blog/2023/08/15/pkgs-k8s-io-introduction/
    const OLDEST: Minor = Minor {
        major: 1,
        minor: 24,
    };
    match text.parse::<Version>() {
        _ if text.starts_with('v') => Err(Some("written without the leading `v`".to_owned())),
        Err(_) if text.parse::<Minor>().is_ok() => Err(Some(
            "a minor is not enough: which of its releases?".to_owned(),
        )),
        Err(_) => Err(None),
        Ok(release) if !release.prerelease().is_empty() || text.contains('+') => Err(Some(
            "pre-releases and builds have no packages in the stable repositories".to_owned(),
        )),
        Ok(release) if release.minor().major != 1 => {
            Err(Some("Kubernetes has only releases of 1.x".to_owned()))
        }
        Ok(release) if release.minor() < OLDEST => Err(Some(format!(
            "the oldest minor that is packaged today is {OLDEST}"
        ))),
        Ok(_) => Ok(()),
    }
}

fn range(text: &str, right: fn(&str) -> bool) -> Result<(), Why> {
    match Pattern::parse(text) {
        Err(error) => Err(Some(error.to_string())),
        Ok(pattern) if pattern.all(right) => Ok(()),
        Ok(pattern) if pattern.len() > 1 => Err(Some(format!(
            "it stands for {} to {}",
            pattern.get(0),
            pattern.get(pattern.len() - 1)
        ))),
        Ok(_) => Err(None),
    }
}

fn path(text: &str) -> Result<(), Why> {
    match text {
        _ if text.is_empty() || text.chars().any(char::is_control) => Err(None),
        _ if text.starts_with('-') => Err(Some(
            "a path that starts with `-` could be taken for an option; write ./ before it"
                .to_owned(),
        )),
        _ if text.starts_with('~') && text != "~" && !text.starts_with("~/") => {
            Err(Some("only `~/`, your own home, is expanded".to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(format: Format, right: &[&str], wrong: &[&str]) {
        for text in right {
            assert_eq!(format.check(text), Ok(()), "{format:?} {text:?}");
        }
        for text in wrong {
            assert!(format.check(text).is_err(), "{format:?} {text:?}");
        }
    }

    #[test]
    fn releases_and_shares() {
        cases(
            Format::Release,
            &["1.35.4", "1.24.0"],
            &[
                "1.35",
                "v1.35.4",
                "1.23.9",
                "2.0.0",
                "1.35.4-rc.0",
                "1.35.4+x",
                "1.35.x",
                "",
            ],
        );
        cases(
            Format::Share,
            &["1", "20%", "100%"],
            &["0", "0%", "101%", "-1", "1.5", "%", "20 %"],
        );
        // Plans count in whole seconds: half a second would be none.
        cases(
            Format::Timeout,
            &["1s", "15m", "1h30m"],
            &["0s", "500ms", "1s500ms"],
        );
        cases(Format::Port, &["22", "65535"], &["0", "65536", "-1", "ssh"]);
    }

    #[test]
    fn the_rest_is_as_strict() {
        cases(
            Format::HostPath,
            &["/opt/patches"],
            &["opt", "/opt/$(x)", "/opt/a b", "/opt/../etc", ""],
        );
        cases(
            Format::Preflight,
            &[
                "Swap",
                "DirAvailable--etc-kubernetes",
                "FileContent--proc-sys-net",
            ],
            &["all", "ALL", "", "-x", "a,b"],
        );
        cases(
            Format::TimeZone,
            &["Europe/Berlin", "UTC"],
            &["Europe/Berlln", "", "CET+"],
        );
        cases(
            Format::Date,
            &["2027-01-31"],
            &["2027-02-30", "31.01.2027", "2027-1-31", "2027-01-31T00:00"],
        );
        cases(
            Format::Comparison,
            &["< 1", ">=0.5", "== 0"],
            &["1", "< x", "<> 1", "< inf"],
        );
        cases(
            Format::Path,
            &["~/.ssh/id", "./x", "/x"],
            &["", "~bob/x", "-o", "a\nb"],
        );
        cases(Format::Variable, &["PROM_TOKEN"], &["1X", "A-B", "A=B", ""]);
    }
}
