//! The formats of strings.

mod date;
mod url;

use crate::schema::Format;

pub(super) fn is_valid(format: Format, text: &str) -> bool {
    match format {
        Format::Email => is_email(text),
        Format::Url => url::is_url(text),
        Format::IsoDate => date::is_iso_date(text),
    }
}

/// `^[^\s@]+@[^\s@]+\.[^\s@]+$`
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_space = |character: char| {
        (character.is_whitespace() && character != '\u{85}') || character == '\u{feff}'
    };
    let inner_dot = || {
        let mut characters = domain.chars();
        characters.next();
        characters.next_back();
        characters.as_str().contains('.')
    };
    !local.is_empty() && !domain.contains('@') && !text.chars().any(is_space) && inner_dot()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(is_valid(format, text), "{text:?} is good");
        }
        for text in bad {
            assert!(!is_valid(format, text), "{text:?} is bad");
        }
    }

    #[test]
    fn an_email_has_a_name_and_a_domain_with_an_inner_dot() {
        check(
            Format::Email,
            &["a@b.c", "ä@ö.ü", "a.b+c@d.e.f", "a@b..c", "a@..c"],
            &["", "a", "a@b", "@b.c", "a@.c", "a@b.", "a@b@c.d", "a b@c.d", "a@b.c\n", "a@é."],
        );
    }

    #[test]
    fn an_iso_date_is_a_day_of_the_calendar_and_of_utc() {
        check(
            Format::IsoDate,
            &[
                "2024-02-29",
                "2000-02-29",
                "2024-12-31",
                "2024-01-01T00:00:00",
                "2024-01-01T23:59:59Z",
                "2024-01-01T10:00:00.123456Z",
                "2024-01-01T10:00:00+02:00",
                "2024-01-01T22:00:00-01:59",
                "0001-01-01",
            ],
            &[
                "",
                "2024",
                "2024-1-1",
                "2023-02-29",
                "1900-02-29",
                "2024-13-99",
                "2024-00-10",
                "2024-04-31",
                "2024-01-01T24:00:00Z",
                "2024-01-01T10:60:00Z",
                "2024-01-01T10:00",
                "2024-01-01T10:00:60Z",
                "2024-01-01T10:00:00.Z",
                "2024-01-01 10:00:00",
                "2024-01-01T01:00:00+02:00",
                "2024-01-01T23:00:00-02:00",
                "2024-01-01T10:00:00+0200",
                "2024-01-01T10:00:00+24:00",
                "2024-01-01Z",
                "x2024-01-01",
                "2024-01-01é",
                "20240é1-01",
            ],
        );
    }

    #[test]
    fn a_url_is_absolute_and_has_a_valid_host_where_its_scheme_needs_one() {
        check(
            Format::Url,
            &[
                "https://example.com",
                "http://a",
                "HTTP://A/b?c#d",
                "http:example.com",
                "http:\\\\a\\b",
                "https://user:pw@host:8080/x",
                "http://[::1]:80/",
                "http://1.2.3.4",
                "http://0x7f.1",
                "http://ex%41mple.com",
                "http://münchen.de/ü",
                "mailto:a@b.c",
                "data:,x",
                "urn:isbn:1",
                "file:///etc/hosts",
                "file:",
                "  http://a  ",
                "ws://a:",
                "foo://bar:1/x",
                "foo://",
                "a.b+c-d:x",
                "http://a_b",
                "http://a@b@c",
                "http://a/ b",
                "javascript:alert(1)",
                "http://a:65535",
                "http://example.com.",
            ],
            &[
                "",
                "not-a-url",
                "//example.com",
                "/path",
                "http://",
                "http:///",
                "http://a b",
                "http://a:99999",
                "http://a:x",
                "http://[::1",
                "http://[::z]",
                "http://a<b",
                "http://256.1.1.1",
                "http://1.2.3.4.5",
                "http://a.1",
                "http://a%00b",
                "http://a%zz",
                "http://@",
                "http://:80",
                "1http://a",
                ":x",
                "http://u@",
                "foo://a b",
                "foo://a:x",
                "https://?q",
                "http://a^b",
            ],
        );
    }
}
