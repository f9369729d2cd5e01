//! Whether a text is an absolute URL in the sense of the WHATWG standard: what
//! its parser would accept without a base. Nothing is normalised. A host with
//! letters beyond ASCII is taken without the tables of IDNA.

use std::net::Ipv6Addr;

/// Schemes that must have a host.
const SPECIAL: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

pub(super) fn is_url(text: &str) -> bool {
    let text = text.trim_matches(|character| character <= ' ');
    let text: String = text.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let scheme = scheme.to_ascii_lowercase();
    if !is_scheme {
        return false;
    }
    if SPECIAL.contains(&scheme.as_str()) {
        let rest = rest.trim_start_matches(['/', '\\']);
        let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
        is_authority(authority, is_domain)
    } else if scheme == "file" {
        let host = rest.replace('\\', "/");
        let host = host.strip_prefix("//").map(|rest| rest.split(['/', '?', '#']).next());
        host.flatten().is_none_or(|host| host.is_empty() || is_host(host, is_domain))
    } else {
        let authority = rest.strip_prefix("//").map(|rest| rest.split(['/', '?', '#']).next());
        authority
            .flatten()
            .is_none_or(|authority| authority.is_empty() || is_authority(authority, is_opaque_host))
    }
}

/// `[user[:password]@]host[:port]`
fn is_authority(authority: &str, is_name: fn(&str) -> bool) -> bool {
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    let after_bracket = host_and_port.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match host_and_port[after_bracket..].find(':') {
        Some(colon) => {
            let (host, port) = host_and_port.split_at(after_bracket + colon);
            (host, &port[1..])
        }
        None => (host_and_port, ""),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && (port.is_empty() || port.parse::<u16>().is_ok());
    is_port && is_host(host, is_name)
}

fn is_host(host: &str, is_name: fn(&str) -> bool) -> bool {
    match host.strip_prefix('[') {
        Some(address) => {
            address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        }
        None => !host.is_empty() && is_name(host),
    }
}

fn is_opaque_host(host: &str) -> bool {
    !host.chars().any(is_forbidden)
}

fn is_forbidden(character: char) -> bool {
    matches!(
        character,
        '\0' | '\t'
            | '\n'
            | '\r'
            | ' '
            | '#'
            | '/'
            | ':'
            | '<'
            | '>'
            | '?'
            | '@'
            | '['
            | '\\'
            | ']'
            | '^'
            | '|'
    )
}

fn is_domain(host: &str) -> bool {
    let Some(host) = percent_decoded(host) else { return false };
    if host.is_empty() || host.chars().any(|c| is_forbidden(c) || c.is_control() || c == '%') {
        return false;
    }
    let labels: Vec<_> = host.strip_suffix('.').unwrap_or(&host).split('.').collect();
    match labels.last() {
        Some(last) if ends_in_number(last) => is_ipv4(&labels),
        last => last.is_some_and(|last| !last.is_empty()),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let hexadecimal = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match (byte, hexadecimal) {
            (b'%', Some(digits)) => {
                let digits = std::str::from_utf8(digits).ok()?;
                decoded.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &after[2..];
            }
            _ => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded).ok()
}

fn ends_in_number(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit())
        || ipv4_number(label).is_some()
}

fn is_ipv4(labels: &[&str]) -> bool {
    let Some((last, first)) = labels.split_last() else { return false };
    let room = 1_u64 << (8 * (5_u32.saturating_sub(u32::try_from(labels.len()).unwrap_or(5))));
    labels.len() <= 4
        && first.iter().all(|label| ipv4_number(label).is_some_and(|number| number < 256))
        && ipv4_number(last).is_some_and(|number| number < room)
}

/// A part of an address: decimal, `0x` hexadecimal or `0` octal.
fn ipv4_number(label: &str) -> Option<u64> {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some("") => return Some(0),
        Some(digits) => (digits, 16),
        None if label.len() > 1 && label.starts_with('0') => (label, 8),
        None => (label, 10),
    };
    let is_number = digits.starts_with(|first: char| first.is_ascii_hexdigit());
    u64::from_str_radix(digits, radix).ok().filter(|_| is_number)
}
