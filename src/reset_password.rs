//! `openclaw-watch reset-password`: the way back in for who forgot theirs, from a shell on the server's machine.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use store::Role;

/// What is read of standard input: a password is far shorter.
const INPUT_BYTES_MAX: u64 = 4_096;

/// Takes the new password from standard input, if that is no terminal; else makes one and prints it.
pub fn run(data_dir: &Path, username: Option<&str>) -> anyhow::Result<()> {
    let username = match username {
        Some(username) => username.to_string(),
        None => only_admin(data_dir)?,
    };
    let given = given()?;
    let password = match &given {
        Some(password) => password.clone(),
        None => made()?,
    };
    let hash = query::hash_password(&password)?;
    let ended = store::reset_password(data_dir, &username, &hash)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{username} has a new password; sessions that ended: {ended}")?;
    if given.is_none() {
        writeln!(out, "Password: {password}")?;
    }
    Ok(())
}

fn only_admin(data_dir: &Path) -> anyhow::Result<String> {
    let mut names = store::usernames(data_dir)?;
    names.retain(|(_, role)| *role == Role::Admin);
    match names.as_slice() {
        [] => bail!("there is no account yet; the server prints a sign-up link when it starts"),
        [(name, _)] => Ok(name.clone()),
        many => {
            let names: Vec<String> = many.iter().map(|(name, _)| format!("{name:?}")).collect();
            bail!("there are several administrators, say which: {}", names.join(", "))
        }
    }
}

fn given() -> anyhow::Result<Option<String>> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Ok(None);
    }
    let mut text = String::new();
    input.lock().take(INPUT_BYTES_MAX).read_to_string(&mut text).context("standard input")?;
    let password = text.trim_end_matches(['\r', '\n']);
    Ok((!password.is_empty()).then(|| password.to_string()))
}

/// 128 random bits.
fn made() -> anyhow::Result<String> {
    let token = query::new_token().context("the system gave no random numbers")?;
    Ok(token[..32].to_string())
}
