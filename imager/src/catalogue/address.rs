//! Addresses of lists and images, compared as URLs: a text that is somewhere in an address proves nothing about whose
//! address it is.

use url::Url;

/// Addresses that an image may have: scheme, host and port as written; in its path, `*` is any text without `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPattern(Url);

impl std::str::FromStr for AddressPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("`{text}`: {error}"))?;
        match url.scheme() {
            "https" | "http" if is_plain(&url) => Ok(Self(url)),
            "https" | "http" => Err(format!("`{text}` has more than scheme, host and path")),
            _ => Err(format!("`{text}` is neither https nor http")),
        }
    }
}

impl<'de> serde::Deserialize<'de> for AddressPattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl AddressPattern {
    /// Whether it is one of them.
    pub fn fits(&self, address: &str) -> bool {
        let Ok(url) = Url::parse(address) else { return false };
        let place = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host_str().map(str::to_owned),
                url.port_or_known_default(),
            )
        };
        is_plain(&url) && place(&self.0) == place(&url) && has_form(self.0.path(), url.path())
    }

    /// Whether nobody on the way can change what is fetched from there.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

/// Neither user, query nor fragment, which are not part of what is compared.
fn is_plain(url: &Url) -> bool {
    let extra = url.query().is_some() || url.fragment().is_some();
    !extra && url.username().is_empty() && url.password().is_none()
}

fn has_form(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.split('/'), path.split('/'));
    pattern.clone().count() == path.clone().count()
        && pattern.zip(path).all(|(p, part)| glob(p, part))
}

/// `a*b` against one part of a path.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.split_once(part) {
            Some((_, behind)) => text = behind,
            None => return false,
        }
    }
    text.ends_with(last)
}

/// Whether an address is https; `false` also for what is no address.
pub(super) fn is_https(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.scheme() == "https")
}

/// The last part of an address's path; empty where it has none.
pub(super) fn file_name(address: &str) -> String {
    let url = Url::parse(address).ok();
    let last = url.as_ref().and_then(|url| url.path_segments()?.next_back());
    last.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_host_and_path_fit() {
        let pattern: AddressPattern =
            "https://h.example.org/lite_arm64/images/*/*-trixie-*.img.xz".parse().unwrap();
        for good in [
            "https://h.example.org/lite_arm64/images/lite-2026/2026-trixie-lite.img.xz",
            "https://H.example.org:443/lite_arm64/images/x/../y/a-trixie-.img.xz",
        ] {
            assert!(pattern.fits(good), "{good}");
        }
        for bad in [
            "http://h.example.org/lite_arm64/images/a/a-trixie-b.img.xz",
            "https://h.example.org:8443/lite_arm64/images/a/a-trixie-b.img.xz",
            "https://evil.example.com/lite_arm64/images/a/a-trixie-b.img.xz",
            "https://h.example.org.evil.com/lite_arm64/images/a/a-trixie-b.img.xz",
            "https://h.example.org@evil.com/lite_arm64/images/a/a-trixie-b.img.xz",
            "https://evil.com/?https://h.example.org/lite_arm64/images/a/a-trixie-b.img.xz",
            "https://evil.com/x/lite_arm64/images/a/a-trixie-b.img.xz",
            "https://h.example.org/x/lite_arm64/images/a/a-trixie-b.img.xz",
            "https://h.example.org/lite_arm64/images/a/../../../x/a-trixie-b.img.xz",
            "https://h.example.org/lite_arm64/images/a/b/a-trixie-b.img.xz",
            "https://h.example.org/lite_arm64/images/a/a-trixie-b.img.xz?x=1",
            "https://h.example.org/lite_arm64/images/a/a-trixie-b.img.xz.exe",
            "https://h.example.org/lite_arm64/images/a/trixie-b.img.xz",
            "not an address",
        ] {
            assert!(!pattern.fits(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["/lite_arm64/", "ftp://h/x", "https://u@h/x", "https://h/x?y", "https://h/x#y"]
        {
            assert!(bad.parse::<AddressPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_name_of_a_file_is_the_end_of_its_path() {
        assert_eq!(file_name("https://h/a/b.img?-raspios-trixie-"), "b.img");
        assert_eq!(file_name("b.img"), "");
        assert!(is_https("HTTPS://h/") && !is_https("http://h/") && !is_https("h"));
    }
}
