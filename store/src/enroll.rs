//! One-time codes with which a device makes itself known.

use crate::types::{DeviceId, Timestamp};
use crate::views::DeviceProfile;

/// How long a code can be used, milliseconds.
pub const ENROLL_CODE_MS: i64 = 60 * 60_000;

/// Codes that can be used at the same time.
pub const ENROLL_CODES_MAX: usize = 100;

/// Letters of a code: no vowels but `A` and `E`, so that no words come out, and none that look like a digit.
pub const ENROLL_LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Letters of a code: 80 bits.
pub const ENROLL_CODE_LETTERS: usize = 16;

/// What is meant by a code that a person typed: without blanks and hyphens, in capitals, and with the digits that
/// letters look like. What is hashed is always this. `None`: it cannot be a code.
pub fn plain_enroll_code(typed: &str) -> Option<String> {
    let mut plain = String::with_capacity(ENROLL_CODE_LETTERS);
    for letter in typed.chars().filter(|letter| !letter.is_whitespace() && *letter != '-') {
        let letter = match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let known = u8::try_from(letter).is_ok_and(|letter| ENROLL_LETTERS.contains(&letter));
        if !known || plain.len() == ENROLL_CODE_LETTERS {
            return None;
        }
        plain.push(letter);
    }
    (plain.len() == ENROLL_CODE_LETTERS).then_some(plain)
}

/// A code as it is kept: nobody can read it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollCode {
    /// Its number.
    pub id: i64,
    /// What the device will be; with an empty name it brings its own.
    pub profile: DeviceProfile,
    /// When it was made.
    pub created_ms: Timestamp,
    /// From then on it is of no use.
    pub expires_ms: Timestamp,
    /// When it was used.
    pub used_ms: Option<Timestamp>,
    /// The device that it made, unless that was deleted.
    pub device: Option<DeviceId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let plain = Some("01ABCDEFGHJKMNPQ".to_string());
        assert_eq!(plain_enroll_code("01AB-CDEF-GHJK-MNPQ"), plain);
        assert_eq!(plain_enroll_code(" oiab cdef ghjk mnpq\n"), plain);
        assert_eq!(plain_enroll_code("OLab-cdef-ghjk-mnpq"), plain);
        for odd in ["", "01AB", "01AB-CDEF-GHJK-MNP", "01AB-CDEF-GHJK-MNPQR", "01AB-CDEF-GHJK-MNPU", "密"] {
            assert_eq!(plain_enroll_code(odd), None, "{odd}");
        }
    }
}
