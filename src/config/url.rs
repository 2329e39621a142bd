//! Where an HTTP health check goes: `http://HOST:PORT/PATH` taken apart, and its parts checked one by one.

use super::problems::quoted;

/// `http://HOST:PORT/PATH`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Name or address, without brackets.
    pub host: String,
    /// 80 where none is written.
    pub port: u16,
    /// Begins with `/`.
    pub path: String,
}

/// Reads the address of an HTTP health check.
pub fn url(text: &str) -> Result<Url, String> {
    const RIGHT: &str = "http://HOST:PORT/PATH";
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http") => {}
        Some("https") => {
            return Err("https is not supported (an http:// address, or healthcheck_type = script with a client of your choice)".to_owned());
        }
        _ => return Err(format!("{} is no address of a web server ({RIGHT})", quoted(text))),
    }
    let rest = &text["http://".len()..];
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(cut);
    let wrong = || format!("{} is no address of a web server ({RIGHT})", quoted(text));
    let (name, number) = host_and_port(authority).ok_or_else(wrong)?;
    let number = number.map_or(Ok(80), port)?;
    let path = match path.starts_with('/') {
        true => self::path(path)?,
        false => self::path(&format!("/{path}"))?,
    };
    Ok(Url { host: host(name)?, port: number, path })
}

fn host_and_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let after_address = authority.find(']').map_or(0, |end| end + 1);
    let (name, port) = match authority[after_address..].find(':') {
        Some(colon) => (&authority[..after_address + colon], Some(&authority[after_address + colon + 1..])),
        None => (authority, None),
    };
    (!name.is_empty() && !name.contains('@')).then_some((name, port))
}

/// A port from 1 to 65535.
pub fn port(text: &str) -> Result<u16, String> {
    let number = super::value::count(text, 1, 65_535)?;
    u16::try_from(number).map_err(|_| format!("{} is too large (a whole number from 1 to 65535)", quoted(text)))
}

/// A name, an IPv4 or an IPv6 address, the last with or without brackets.
pub fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    match !bare.is_empty() && bare.len() <= 255 && bare.chars().all(good) {
        true => Ok(bare.to_owned()),
        false => Err(format!(
            "{} is no host (a name such as localhost, or an address such as 127.0.0.1 or ::1)",
            quoted(text)
        )),
    }
}

/// The path of an HTTP request, with its query.
pub fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        true => Ok(text.to_owned()),
        false => {
            Err(format!("{} is no path of a request (begins with /, without blanks; others as %XX)", quoted(text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, host, port, path) in [
            ("http://localhost", "localhost", 80, "/"),
            ("HTTP://127.0.0.1:8080/health?x=1", "127.0.0.1", 8080, "/health?x=1"),
            ("http://[::1]:81?x", "::1", 81, "/?x"),
            ("http://[::1]/", "::1", 80, "/"),
        ] {
            let expected = Url { host: host.to_owned(), port, path: path.to_owned() };
            assert_eq!(url(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_an_error() {
        let right = "is no address of a web server (http://HOST:PORT/PATH)";
        for text in ["", "localhost", "ftp://x", "http://", "http://:80/", "http://user@host/", "//x", "http:/x"] {
            assert_eq!(url(text), Err(format!("`{text}` {right}")));
        }
        let https =
            "https is not supported (an http:// address, or healthcheck_type = script with a client of your choice)";
        assert_eq!(url("https://x/"), Err(https.to_owned()));
        assert_eq!(url("http://x:0/"), Err("`0` is too small (a whole number from 1 to 65535)".to_owned()));
        assert_eq!(url("http://x:/"), Err("`` is no whole number (a whole number from 1 to 65535)".to_owned()));
        let right = "is no path of a request (begins with /, without blanks; others as %XX)";
        for text in ["/a b", "/ä", "/a#b", "a"] {
            assert_eq!(path(text), Err(format!("`{text}` {right}")));
        }
        let right = "is no host (a name such as localhost, or an address such as 127.0.0.1 or ::1)";
        for text in ["", "a b", "a/b", "[]", "ä"] {
            assert_eq!(host(text), Err(format!("`{text}` {right}")));
        }
    }
}
