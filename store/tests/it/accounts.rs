//! Accounts, sessions and API tokens.

use crate::Rig;
use store::{Error, NewSession, Role, Store};

const NOW: i64 = 1_795_343_922_420;
const HOUR: i64 = 3_600_000;

fn session(store: &Store, secret: u8, user: i64, now: i64) -> Vec<[u8; 32]> {
    let session = NewSession {
        token_hash: [secret; 32],
        user,
        csrf_token: format!("csrf {secret}"),
        address: "192.0.2.1".into(),
        client: "Browser".into(),
    };
    store.add_session(&session, now).unwrap()
}

#[test]
fn only_one_account_is_first() {
    let rig = Rig::new(NOW);
    assert!(!rig.store.has_user().unwrap());
    let user = rig.store.add_first_user("ada", "hash", NOW).unwrap();
    assert_eq!(user.role, Role::Admin);
    assert!(rig.store.has_user().unwrap());
    assert!(matches!(rig.store.add_first_user("eve", "hash", NOW), Err(Error::Conflict { .. })));
    assert_eq!(rig.store.user("ada").unwrap(), Some(user));
    assert_eq!(rig.store.user("eve").unwrap(), None);
}

#[test]
fn a_session_ends_by_rest_by_age_and_by_order() {
    let rig = Rig::new(NOW);
    let user = rig.store.add_first_user("ada", "hash", NOW).unwrap();
    session(&rig.store, 7, user.id, NOW);
    assert_eq!(rig.store.session(&[7; 32], NOW + HOUR).unwrap().unwrap().csrf_token, "csrf 7");
    assert!(rig.store.session(&[7; 32], NOW + 13 * HOUR - 1).unwrap().is_some(), "its use was noted");
    assert!(rig.store.session(&[7; 32], NOW + 26 * HOUR).unwrap().is_none());
    assert!(rig.store.session(&[8; 32], NOW).unwrap().is_none());

    session(&rig.store, 9, user.id, NOW + 26 * HOUR);
    rig.store.end_session(&[9; 32]).unwrap();
    assert!(rig.store.session(&[9; 32], NOW + 26 * HOUR).unwrap().is_none());

    session(&rig.store, 10, user.id, NOW);
    for hours in 1..14 * 24 {
        assert!(rig.store.session(&[10; 32], NOW + hours * HOUR).unwrap().is_some(), "{hours}");
    }
    assert!(rig.store.session(&[10; 32], NOW + 14 * 24 * HOUR).unwrap().is_none(), "in use, but too old");
}

#[test]
fn a_use_is_seen_at_once_and_outlives_the_server() {
    let rig = Rig::new(NOW);
    let user = rig.store.add_first_user("ada", "hash", NOW).unwrap();
    session(&rig.store, 7, user.id, NOW);
    rig.store.add_api_token(&[8; 32], user.id, "backup", Role::Reader, None, NOW).unwrap();
    let later = NOW + 11 * HOUR;
    assert!(rig.store.session(&[7; 32], later).unwrap().is_some());
    assert!(rig.store.bearer(&[8; 32], later).unwrap().is_some());
    let told = |rig: &Rig| {
        let session = rig.store.sessions(None, later).unwrap()[0].used_ms;
        (session, rig.store.api_tokens(None).unwrap()[0].used_ms)
    };
    assert_eq!(told(&rig), (later, Some(later)));
    // And of another that nobody looked at before the end.
    session(&rig.store, 9, user.id, NOW);
    assert!(rig.store.session(&[9; 32], later).unwrap().is_some());
    let rig = rig.reopen(later);
    assert_eq!(told(&rig), (later, Some(later)));
    assert!(rig.store.session(&[9; 32], later + 11 * HOUR).unwrap().is_some(), "a use was forgotten");
}

#[test]
fn sessions_are_listed_and_ended_by_number_within_reach() {
    let rig = Rig::new(NOW);
    let ada = rig.store.add_first_user("ada", "hash", NOW).unwrap();
    let bob = rig.store.add_user("bob", Role::Reader, "hash", NOW).unwrap();
    session(&rig.store, 1, ada.id, NOW);
    session(&rig.store, 2, bob.id, NOW + 1);
    let all = rig.store.sessions(None, NOW + 2).unwrap();
    let names: Vec<&str> = all.iter().map(|session| session.username.as_str()).collect();
    assert_eq!(names, ["bob", "ada"]);
    assert_eq!((all[0].address.as_str(), all[0].client.as_str()), ("192.0.2.1", "Browser"));
    let own = rig.store.sessions(Some(bob.id), NOW + 2).unwrap();
    assert_eq!(own, all[..1]);
    let not_found = rig.store.end_session_by_id(all[1].id, Some(bob.id));
    assert!(matches!(not_found, Err(Error::NotFound { .. })), "another's");
    assert_eq!(rig.store.end_session_by_id(own[0].id, Some(bob.id)).unwrap(), [2; 32]);
    assert!(rig.store.session(&[2; 32], NOW + 2).unwrap().is_none());
    assert_eq!(rig.store.end_session_by_id(all[1].id, None).unwrap(), [1; 32]);
}

#[test]
fn an_account_has_a_bounded_number_of_sessions_and_the_oldest_makes_room() {
    let rig = Rig::new(NOW);
    let user = rig.store.add_first_user("ada", "hash", NOW).unwrap();
    for n in 0..100 {
        assert!(session(&rig.store, n, user.id, NOW + i64::from(n)).is_empty());
    }
    assert_eq!(session(&rig.store, 200, user.id, NOW + 100), [[0; 32]]);
    assert_eq!(rig.store.sessions(None, NOW + 100).unwrap().len(), 100);
}

#[test]
fn a_new_password_ends_the_sessions_but_one() {
    let rig = Rig::new(NOW);
    let ada = rig.store.add_first_user("ada", "hash", NOW).unwrap();
    let bob = rig.store.add_user("bob", Role::Reader, "hash", NOW).unwrap();
    for (secret, user) in [(1, ada.id), (2, ada.id), (3, bob.id)] {
        session(&rig.store, secret, user, NOW);
    }
    assert_eq!(rig.store.set_password(ada.id, "new", Some([2; 32])).unwrap(), [[1; 32]]);
    let lasts = |secret| rig.store.session(&[secret; 32], NOW).unwrap().is_some();
    assert_eq!((lasts(1), lasts(2), lasts(3)), (false, true, true));
    assert_eq!(rig.store.user("ada").unwrap().unwrap().password_hash, "new");
    assert_eq!(rig.store.set_password(ada.id, "newer", None).unwrap(), [[2; 32]]);
    assert!(matches!(rig.store.set_password(99, "x", None), Err(Error::NotFound { .. })));
}

#[test]
fn an_administrator_is_always_left() {
    let rig = Rig::new(NOW);
    let ada = rig.store.add_first_user("ada", "hash", NOW).unwrap();
    let bob = rig.store.add_user("bob", Role::Reader, "hash", NOW).unwrap();
    assert!(matches!(rig.store.delete_user(ada.id), Err(Error::LastAdmin)));
    assert!(matches!(rig.store.set_role(ada.id, Role::Reader), Err(Error::LastAdmin)));
    assert_eq!(rig.store.user("ada").unwrap().unwrap().role, Role::Admin, "nothing was changed");
    rig.store.set_role(bob.id, Role::Admin).unwrap();
    rig.store.delete_user(ada.id).unwrap();
    assert!(matches!(rig.store.delete_user(bob.id), Err(Error::LastAdmin)));
    assert!(matches!(rig.store.delete_user(ada.id), Err(Error::NotFound { .. })));
    assert!(matches!(rig.store.add_user("bob", Role::Reader, "x", NOW), Err(Error::Conflict { .. })));
}

#[test]
fn an_api_token_serves_until_it_expires_or_is_revoked() {
    let rig = Rig::new(NOW);
    let ada = rig.store.add_first_user("ada", "hash", NOW).unwrap();
    let add = |secret: u8, scope, expires_ms| {
        rig.store.add_api_token(&[secret; 32], ada.id, "backup", scope, expires_ms, NOW).unwrap()
    };
    let made = add(1, Role::Reader, Some(NOW + HOUR));
    assert_eq!((made.username.as_str(), made.scope, made.used_ms), ("ada", Role::Reader, None));
    let bearer = rig.store.bearer(&[1; 32], NOW + HOUR - 1).unwrap().unwrap();
    assert_eq!((bearer.user.username.as_str(), bearer.scope), ("ada", Role::Reader));
    assert_eq!(rig.store.api_tokens(None).unwrap()[0].used_ms, Some(NOW + HOUR - 1));
    assert!(rig.store.bearer(&[1; 32], NOW + HOUR).unwrap().is_none(), "expired");
    assert!(rig.store.bearer(&[2; 32], NOW).unwrap().is_none(), "never made");

    let endless = add(3, Role::Admin, None);
    assert!(rig.store.bearer(&[3; 32], i64::MAX).unwrap().is_some());
    assert_eq!(rig.store.api_tokens(Some(ada.id)).unwrap().len(), 2, "expired ones are listed too");
    assert!(rig.store.api_tokens(Some(99)).unwrap().is_empty());
    assert!(matches!(rig.store.revoke_api_token(endless.id, Some(99)), Err(Error::NotFound { .. })));
    assert_eq!(rig.store.revoke_api_token(endless.id, Some(ada.id)).unwrap(), [3; 32]);
    assert!(rig.store.bearer(&[3; 32], NOW).unwrap().is_none());
}

#[test]
fn sessions_and_tokens_go_with_their_account() {
    let rig = Rig::new(NOW);
    rig.store.add_first_user("ada", "hash", NOW).unwrap();
    let bob = rig.store.add_user("bob", Role::Reader, "hash", NOW).unwrap();
    session(&rig.store, 1, bob.id, NOW);
    rig.store.add_api_token(&[2; 32], bob.id, "t", Role::Reader, None, NOW).unwrap();
    assert_eq!(rig.store.delete_user(bob.id).unwrap(), [[1; 32], [2; 32]]);
    assert!(rig.store.session(&[1; 32], NOW).unwrap().is_none());
    assert!(rig.store.bearer(&[2; 32], NOW).unwrap().is_none());
    // A number is never given twice: what was bob's can never become another's.
    assert!(rig.store.add_user("bob", Role::Reader, "hash", NOW).unwrap().id > bob.id);
}

#[test]
fn tokens_of_one_account_are_bounded() {
    let rig = Rig::new(NOW);
    let ada = rig.store.add_first_user("ada", "hash", NOW).unwrap();
    let add = |secret| rig.store.add_api_token(&[secret; 32], ada.id, "t", Role::Reader, None, NOW);
    for secret in 0..100 {
        add(secret).unwrap();
    }
    assert!(matches!(add(100), Err(Error::Full { limit: 100, .. })));
}
