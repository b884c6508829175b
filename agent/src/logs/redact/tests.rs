use super::*;

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(redact(text), expected);
    assert_eq!(redact(expected), expected, "what is redacted stays as it is");
}

#[test]
fn secrets_of_every_kind_are_taken_out() {
    check("Authorization: Bearer abc.def-ghi", "Authorization: [redacted]");
    check("authorization=Basic dXNlcjpwYXNz rest", "authorization=[redacted]");
    check("sent bearer tok3nTok3n ok", "sent bearer [redacted] ok");
    check("Cookie: a=b; c=d\nnext", "Cookie: [redacted]\nnext");
    check(r#"{"apiKey":"se cr\"et","n":1}"#, r#"{"apiKey":"[redacted]","n":1}"#);
    check(r#"got {\"token\":\"abc\",\"n\":1}"#, r#"got {\"token\":\"[redacted]\",\"n\":1}"#);
    check("API_KEY='x y' password=hunter2, ok", "API_KEY='[redacted]' password=[redacted], ok");
    check("client-secret: abc gatewayToken => xyz", "client-secret: [redacted] gatewayToken => [redacted]");
    check("run --token abc --port 1", "run --token [redacted] --port 1");
    check("GET /x?a=1&token=abc&b=2", "GET /x?a=1&token=[redacted]&b=2");
    check("next=%2Fcb%3Ftoken%3Dabc&b", "next=%2Fcb%3Ftoken%3D[redacted]&b");
    check("https://ann:pa55@host.org/p?sig=x#f", "https://[redacted]@host.org/p?sig=[redacted]");
    check("key sk-proj-4f9a8b7c6d used", "key [redacted] used");
    check("(ghp_16C7e42F292c6912E7)", "([redacted])");
    check("AKIAIOSFODNN7EXAMPLE", "[redacted]");
    check("jwt eyJhbGciOiJIUzI1NiJ9.e30.abc", "jwt [redacted]");
    check("bot 123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/x", "bot 123456789:[redacted]/x");
    check("mail to ann.b+c@mail.example.org now", "mail to [e-mail] now");
    check("from 4915112345678@s.whatsapp.net", "from [e-mail]");
    check("call +4915112345678!", "call [phone]!");
    check("sha d41d8cd98f00b204e9800998ecf8427e end", "sha [redacted] end");
    check("blob QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz/+== end", "blob [redacted] end");
    check("blob=QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz== end", "blob=[redacted]== end");
    check("path /f/dGhpcyBpcyBhIGxvbmcgc2VjcmV0IHRva2VuMQ/x", "path /f/[redacted]/x");
    check("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- x", "[redacted] x");
    check("-----BEGIN RSA PRIVATE KEY-----\nabc", "[redacted]");
    check("密码 password=秘密 后", "密码 password=[redacted] 后");
}

#[test]
fn what_a_person_needs_stays() {
    for text in [
        "lane task error: lane=main durationMs=1203 error=\"429 rate limited\"",
        "run 3f2b8c1e-9d4a-4b6e-8f00-1a2b3c4d5e6f failed",
        "embedded run agent end status=429 runId=3f2b8c1e-9d4a-4b6e-8f00-1a2b3c4d5e6f",
        "totalTokens=10540 tokens: 12 maxTokens=4096",
        "    at Object.<anonymous> (/home/ann/.npm-global/lib/node_modules/openclaw/dist/index.js:10:5)",
        "connect ECONNREFUSED 127.0.0.1:18789",
        "http://127.0.0.1:18789/readyz answers 503",
        "plugin @openclaw/whatsapp@2026.9.6 loaded",
        "health-monitor: restarting (reason: stale-socket)",
        "网关启动失败: 端口 18789 已被占用",
        "bearer of bad news",
        "",
    ] {
        check(text, text);
    }
}

#[test]
fn any_mixture_of_signs_is_taken() {
    let pieces = [
        "token",
        "=",
        ":",
        " ",
        "\"",
        "\\",
        "'",
        "--",
        "%3D",
        "é",
        "密",
        "Bearer",
        "://",
        "@",
        "/",
        "\n",
        "a1B2c3D4",
        "[redacted]",
        "-----BEGIN ",
        "-----END ",
        "+49151",
        "{",
        "}",
        ",",
        "&",
        ".",
        "eyJ",
    ];
    // A generator whose seed is printed by a failing assertion's text.
    for seed in 0..20_000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let text: String = (0..12)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                pieces[(state >> 33) as usize % pieces.len()]
            })
            .collect();
        let once = redact(&text);
        assert!(!once.contains("token=a1B2c3D4"), "seed {seed}: {text:?} {once:?}");
    }
}

#[test]
fn control_characters_are_spaces_and_nothing_panics() {
    assert_eq!(redact("a\u{1b}[31mb\r\n\tc"), "a [31mb \n c");
    for text in [
        "=",
        ":",
        "token=",
        "token=\"",
        "token=\\",
        "token=\\\"",
        "token=\"\\",
        "--token ",
        "%3D",
        "token=\"\\é",
    ] {
        redact(text);
        redact(&text.repeat(50));
    }
}
