//! Regular expressions: ECMAScript's syntax (for a schema's `pattern`) and the
//! everyday part of PCRE's (for `$regex`), matched in time linear in the text.
//!
//! A pattern comes from a client and runs inside the server, so an engine that
//! backtracks is out of the question: one hostile pattern would stop a thread
//! for ever. [`translate`] turns the pattern into the syntax of the `regex`
//! crate, whose matching is linear and whose programs are bounded in size.
//!
//! What linear time cannot express is refused at definition: back references,
//! look-behind, look-ahead in general. The one common use of look-ahead is
//! kept: assertions at the very start, `^(?=.*[A-Z])(?!.*\s).{8,}$`, are each
//! a search of their own. Characters are code points, where JavaScript without
//! its `u` flag sees UTF-16 units.

mod class;
mod translate;

use regex::{Regex, RegexBuilder};
use translate::{Translated, translate};

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 4096;
/// The largest compiled program, in bytes.
const MAX_PROGRAM_BYTES: usize = 1 << 20;

/// What `$options` says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) ignore_case: bool,
    pub(crate) multi_line: bool,
    pub(crate) dot_all: bool,
    pub(crate) extended: bool,
}

impl Flags {
    /// Reads letters of `imsx`; `None` for another one.
    pub(crate) fn parse(options: &str) -> Option<Self> {
        let mut flags = Self::default();
        for option in options.chars() {
            match option {
                'i' => flags.ignore_case = true,
                'm' => flags.multi_line = true,
                's' => flags.dot_all = true,
                'x' => flags.extended = true,
                _ => return None,
            }
        }
        Some(flags)
    }
}

/// A compiled pattern. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    source: String,
    main: Regex,
    /// What must (`true`) or must not (`false`) match at the start.
    assertions: Vec<(Regex, bool)>,
}

impl Pattern {
    /// Compiles `source`; the error is a sentence for its author.
    pub(crate) fn compile(source: &str, flags: Flags) -> Result<Self, String> {
        if source.len() > MAX_PATTERN_BYTES {
            return Err(format!("is longer than {MAX_PATTERN_BYTES} bytes"));
        }
        let Translated { main, assertions } = translate(source, flags)?;
        let build = |expression: &str| {
            RegexBuilder::new(expression)
                .case_insensitive(flags.ignore_case)
                .size_limit(MAX_PROGRAM_BYTES)
                .build()
                .map_err(|error| match error {
                    regex::Error::CompiledTooBig(_) => "is too complex".to_owned(),
                    _ => "is not a regular expression".to_owned(),
                })
        };
        let assertions = assertions
            .iter()
            .map(|(expression, expected)| Ok((build(expression)?, *expected)))
            .collect::<Result<_, String>>()?;
        Ok(Self { source: source.to_owned(), main: build(&main)?, assertions })
    }

    /// The pattern as it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether it matches anywhere in `text`. Cost: linear in the text.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.assertions.iter().all(|(regex, expected)| regex.is_match(text) == *expected)
            && self.main.is_match(text)
    }

    /// Hands each match to `found`, in order, until it answers false.
    pub(crate) fn each_match(
        &self,
        text: &str,
        found: &mut dyn FnMut(&regex::Captures<'_>) -> tandem_base::Result<bool>,
    ) -> tandem_base::Result<()> {
        if self.assertions.iter().any(|(regex, expected)| regex.is_match(text) != *expected) {
            return Ok(());
        }
        for captures in self.main.captures_iter(text) {
            if !found(&captures)? {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::compile(pattern, Flags::default())
            .unwrap_or_else(|error| panic!("{pattern} {error}"))
            .is_match(text)
    }

    #[test]
    fn patterns_mean_what_they_mean_in_ecmascript() {
        for (pattern, yes, no) in [
            ("b", "abc", "xyz"),
            ("^a.c$", "abc", "a\u{2028}c"),
            ("^a$", "a", "a\n"),
            (r"^\d+$", "123", "١٢٣"),
            (r"^\w+$", "Az_9", "é"),
            (r"^\s$", "\u{feff}", "x"),
            (r"^\S$", "x", "\u{a0}"),
            (r"\bcat\b", "a cat!", "concat"),
            (r"^[\w-.]+$", "a-b.c", "a b"),
            (r"^[a\-z]+$", "a-z", "b"),
            (r"^[[&&~]+$", "[&~", "]"),
            (r"^[+--]$", ",", "*"),
            (r"^[^\d]$", "x", "5"),
            (r"^[\D]$", "x", "5"),
            ("^[^]$", "\n", ""),
            ("a[]|b", "b", "a"),
            (r"^[\b]$", "\u{8}", "b"),
            (r"^a{2}$", "aa", "a"),
            (r"^{x}$", "{x}", "x"),
            (r"^a{,2}$", "a{,2}", "aa"),
            (r"^\/\-\#$", "/-#", ""),
            (r"^\u00e9\x41\cJ\0$", "éA\n\0", "e"),
            (r"^\ud83d\ude00$", "😀", "x"),
            (r"^(?<year>\d{4})-(?:x|y)$", "2024-x", "2024-z"),
            (r"^(a|b)*?c$", "abac", "ad"),
            (r"^(?=.*[A-Z])(?=.*\d)(?!.*\s).{4,}$", "aB3d", "ab3d"),
            (r"^(?=.*[A-Z])(?=.*\d)(?!.*\s).{4,}$", "aB3d", "aB 3d"),
        ] {
            assert!(matches(pattern, yes), "{pattern} should match {yes:?}");
            assert!(!matches(pattern, no), "{pattern} should not match {no:?}");
        }
    }

    #[test]
    fn options_change_letters_lines_dots_and_spaces() {
        let matches = |pattern: &str, flags, text: &str| {
            Pattern::compile(pattern, flags).unwrap().is_match(text)
        };
        let none = Flags::default();
        for (pattern, flags, text) in [
            ("abc", Flags { ignore_case: true, ..none }, "xABCx"),
            ("^b$", Flags { multi_line: true, ..none }, "a\nb\nc"),
            ("a.b", Flags { dot_all: true, ..none }, "a\nb"),
            ("a b # letters\n[ ]", Flags { extended: true, ..none }, "ab "),
        ] {
            assert!(matches(pattern, flags, text), "{pattern}");
            assert!(!matches(pattern, none, text), "{pattern}");
        }
        assert!(matches("a(?i)b", none, "aB"));
    }

    #[test]
    fn g9_what_is_no_pattern_or_cannot_be_linear_is_refused() {
        for pattern in [
            "(",
            ")",
            "[",
            "[b-a]",
            "a**b(",
            "*",
            r"\",
            r"(a)\1",
            r"\k<a>",
            "a(?=b)",
            "(?<=a)b",
            "(?<!a)b",
            "^(?=a)b|c",
            "^(?=(?=a))b",
            r"\ud83d",
            "a{2,1}",
            r"\A",
            "((((((a{99}){99}){99}){99}",
            r"(\w{100}){100}(x{100}){100}",
        ] {
            assert!(Pattern::compile(pattern, Flags::default()).is_err(), "{pattern}");
        }
        assert!(Pattern::compile(&"a".repeat(5000), Flags::default()).is_err());
    }
}
