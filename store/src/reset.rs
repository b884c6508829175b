//! A new password for an account, from a shell on the server's machine: the way back in for who forgot theirs.

use crate::accounts::Role;
use crate::error::{Error, Result};
use crate::meta::{FILE, Meta};
use std::path::Path;

impl Meta {
    /// The file of a folder that a server may have open.
    fn of_others(dir: &Path) -> Result<Meta> {
        if !dir.join(FILE.name).is_file() {
            let cause = std::io::Error::other(format!("there is no {} in it", FILE.name));
            return Err(Error::Folder { path: dir.to_path_buf(), cause });
        }
        Meta::with(FILE.open_as_it_is(dir)?, dir)
    }
}

/// The accounts of a data folder with their roles, by name. A server may run on it.
///
/// # Errors
/// There is no data folder there, or it is of another version than this program.
pub fn usernames(dir: &Path) -> Result<Vec<(String, Role)>> {
    let users = Meta::of_others(dir)?.users(0)?;
    Ok(users.into_iter().map(|user| (user.username, user.role)).collect())
}

/// Gives an account another password and ends its sessions; returns how many. A server may run on the folder: it takes
/// the new password at once, and closes what is open under an ended session within a minute.
///
/// # Errors
/// There is no data folder or no such account there, or it is of another version than this program.
pub fn reset_password(dir: &Path, username: &str, password_hash: &str) -> Result<usize> {
    let meta = Meta::of_others(dir)?;
    let user = meta.user(username)?.ok_or(Error::NotFound { what: "account" })?;
    Ok(meta.set_password(user.id, password_hash, None)?.len())
}
