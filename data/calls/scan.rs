//! Where a JSON object that comes piece by piece ends.
//!
//! Every byte is looked at once, however many pieces it comes in. What can stand in no JSON ends the search, so that an
//! object that was never closed does not swallow the text behind it.

/// How far an object was looked at.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The object goes on behind the text.
    More,
    /// It ends before this byte.
    End(usize),
    /// The byte here stands in no JSON.
    Bad(usize),
}

impl Scan {
    /// Looks on in `text`, which begins with the object's `{` and has grown since the last call.
    pub fn look(&mut self, text: &str) -> Found {
        for (at, &byte) in text.as_bytes().iter().enumerate().skip(self.at) {
            self.at = at + 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' | b'+' | b'-' | b'.' => {}
                byte if byte.is_ascii_alphanumeric() => {}
                _ => {
                    self.at = at;
                    return Found::Bad(at);
                }
            }
            if self.depth == 0 {
                return Found::End(at + 1);
            }
        }
        Found::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_ends_at_its_last_brace_and_not_at_one_in_a_string() {
        let text = r#"{"a": "}\"}", "b": [{"c": 1}]} and more"#;
        assert_eq!(
            Scan::default().look(text),
            Found::End(text.find(" and").expect("more"))
        );
        let mut scan = Scan::default();
        for length in 1..text.find(" and").expect("more") {
            assert_eq!(
                scan.look(&text[..length]),
                Found::More,
                "{}",
                &text[..length]
            );
        }
    }

    #[test]
    fn what_is_no_json_is_noticed_where_it_stands() {
        assert_eq!(
            Scan::default().look(r#"{"a": 1</tool_call>"#),
            Found::Bad(7)
        );
        assert_eq!(Scan::default().look(r#"{"a": "<"#), Found::More);
    }
}
