use std::fmt;

use tandem_base::{Error, Result};

use crate::value::MAX_NESTING;

/// A path of an update expression: names, array positions, `$[]`, `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UpdatePath {
    text: String,
    segments: Vec<Segment>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// A field, or an array's position if it is a number.
    Name { name: String, position: Option<usize> },
    /// `$[]`: every element.
    Every,
    /// `$`: the element that the filter matched.
    Matched,
}

impl UpdatePath {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Error::validation(format!("Invalid path \"{text}\" in an update: {why}"))
                .with("path", text)
        };
        let mut segments = Vec::new();
        for name in text.split('.') {
            let segment = match name {
                "" => return Err(invalid("a name is empty")),
                "$" => Segment::Matched,
                "$[]" => Segment::Every,
                _ if name.starts_with("$[") => {
                    return Err(invalid("filters on elements ($[name]) are not supported"));
                }
                _ if name.starts_with('$') => return Err(invalid("a name begins with \"$\"")),
                _ => Segment::Name { name: name.to_owned(), position: position(name) },
            };
            segments.push(segment);
        }
        if segments.len() > MAX_NESTING {
            return Err(Error::limit("pathLength", MAX_NESTING as u64, segments.len() as u64));
        }
        if !matches!(segments[0], Segment::Name { .. }) {
            return Err(invalid("it begins with a positional operator"));
        }
        if segments.iter().filter(|segment| **segment == Segment::Matched).count() > 1 {
            return Err(invalid("more than one positional \"$\""));
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The record's field that it begins in.
    pub(super) fn first(&self) -> &str {
        match &self.segments[0] {
            Segment::Name { name, .. } => name,
            Segment::Every | Segment::Matched => "",
        }
    }

    pub(super) fn is_single(&self) -> bool {
        self.segments.len() == 1
    }

    pub(super) fn is_plain(&self) -> bool {
        self.segments.iter().all(|segment| matches!(segment, Segment::Name { .. }))
    }

    /// The array before `$`, as text.
    pub(super) fn before_matched(&self) -> Option<&str> {
        let at = self.segments.iter().position(|segment| *segment == Segment::Matched)?;
        let length: usize = self.text.split('.').take(at).map(|name| name.len() + 1).sum();
        self.text.get(..length - 1)
    }

    /// Whether both may lead to the same place, or one into what the other
    /// leads to.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.segments.iter().zip(&other.segments).all(|(a, b)| a.may_be(b))
    }
}

impl Segment {
    fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name { name, .. }, Self::Name { name: other, .. }) => name == other,
            (Self::Name { position, .. }, _) | (_, Self::Name { position, .. }) => {
                position.is_some()
            }
            _ => true,
        }
    }
}

/// The array position that a name is, if it is one.
fn position(name: &str) -> Option<usize> {
    let canonical = name.len() <= 9
        && name.bytes().all(|byte| byte.is_ascii_digit())
        && (name == "0" || !name.starts_with('0'));
    name.parse().ok().filter(|_| canonical)
}

impl fmt::Display for UpdatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> UpdatePath {
        UpdatePath::parse(text).unwrap()
    }

    #[test]
    fn paths_overlap_where_one_leads_to_or_into_the_other() {
        for (a, b) in [
            ("a", "a"),
            ("a", "a.b"),
            ("a.b.c", "a.b"),
            ("a.$[]", "a.0"),
            ("a.$", "a.$[]"),
            ("a.$[].b", "a.3.b.c"),
        ] {
            assert!(path(a).overlaps(&path(b)) && path(b).overlaps(&path(a)), "{a} {b}");
        }
        for (a, b) in [
            ("a", "b"),
            ("a.b", "a.c"),
            ("a.0", "a.1"),
            ("a.$[].b", "a.$[].c"),
            ("a.$[]", "a.b"),
            ("ab", "a"),
        ] {
            assert!(!path(a).overlaps(&path(b)), "{a} {b}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in ["", ".", "a.", "$", "$[]", "a.$x", "a.$[x]", "a.$.b.$", "$a"] {
            assert_eq!(
                UpdatePath::parse(bad).unwrap_err().code().as_str(),
                "VALIDATION_ERROR",
                "{bad}"
            );
        }
        let long = ["a"; 101].join(".");
        assert_eq!(UpdatePath::parse(&long).unwrap_err().code().as_str(), "LIMIT_EXCEEDED");
        assert_eq!(path("a.b.$.c").before_matched(), Some("a.b"));
    }
}
