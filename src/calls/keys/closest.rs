//! Names that are meant where one was mistyped.

use std::cmp::Reverse;

/// The known names that are closest to a mistyped one, best first, at most three.
#[must_use]
pub fn closest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    closest_of(wrong, &mut names.into_iter())
}

/// The same. Apart, so that the program has it only once.
fn closest_of<'n>(wrong: &str, names: &mut dyn Iterator<Item = &'n str>) -> Vec<&'n str> {
    let cut = |text: &str| text.chars().take(CLOSEST_LENGTH).collect::<String>();
    let wrong = cut(&wrong.to_lowercase());
    let length = wrong.chars().count();
    // Up to a third of the letters may be wrong; with more, it is another word.
    let bound = (length / 3).max(1);
    // Of names as close, the ones that begin alike: few mistype the first letters.
    let common = |name: &str| wrong.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
    let mut found: Vec<(usize, Reverse<usize>, &str)> = names
        .map(|name| {
            let starts = length >= 2 && name.starts_with(&wrong);
            let distance = if starts { 0 } else { strsim::osa_distance(&wrong, &cut(name)) };
            (distance, Reverse(common(name)), name)
        })
        .filter(|(distance, ..)| *distance <= bound)
        .collect();
    found.sort_by_key(|&(distance, common, _)| (distance, common));
    found.dedup_by_key(|(.., name)| *name);
    found.into_iter().take(3).map(|(.., name)| name).collect()
}

/// Most letters of a word that are compared: longer words are no typing errors, and the work grows with the square.
const CLOSEST_LENGTH: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::keys::KEYS;

    #[test]
    fn mistyped_names_find_their_key() {
        let names = || KEYS.iter().map(|k| k.name);
        assert_eq!(closest("clas", names()), ["class"]);
        assert_eq!(closest("servcie", names())[0], "service");
        assert_eq!(closest("lat", names())[0], "latency_ns");
        assert_eq!(closest("func-ret", names())[0], "func_ret");
        // Both lack one letter.
        assert_eq!(closest("thme", ["time", "theme"])[0], "theme");
        assert!(closest("zzzzzz", names()).is_empty());
        assert!(closest("nope", names()).is_empty());
        assert!(closest("", names()).is_empty());
    }

    #[test]
    fn a_hostile_word_is_no_long_work() {
        assert!(closest(&"x".repeat(1 << 20), KEYS.iter().map(|k| k.name)).is_empty());
    }
}
