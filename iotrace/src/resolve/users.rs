//! Users by name.

use nix::unistd::User;

/// The id of a user given by name or by number. A number needs no user to have it: containers use ids that the host
/// does not know.
///
/// # Errors
/// `no user named X`, or that the users could not be read.
pub fn uid_of(user: &str) -> Result<u32, String> {
    // The name first, as chown does: a name may consist of digits.
    match User::from_name(user) {
        Ok(Some(found)) => Ok(found.uid.as_raw()),
        found => user.parse().map_err(|_| match found {
            Err(error) => format!("cannot look up user {user}: {}", error.desc()),
            Ok(_) => format!("no user named {user}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_and_by_number() {
        assert_eq!(uid_of("root"), Ok(0));
        assert_eq!(uid_of("0"), Ok(0));
        assert_eq!(uid_of("4000000001"), Ok(4_000_000_001));
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        for name in ["nobody-has-this-name", "", "-1", "4294967296", "a\0b"] {
            assert!(uid_of(name).is_err(), "{name:?}");
        }
        assert_eq!(uid_of("nobody-has-this-name"), Err("no user named nobody-has-this-name".into()));
    }
}
