//! The world of `callfeed demo`: a CoMagic account by API key, a UIS account by login, an agency with two customers.

use std::time::Duration;

use super::calls_scenario::{CallsScenario, SaleHabits, TagHabits};
use super::scenario::{AccountScenario, CustomerScenario, Delay, Key, Limits, Scenario, UserScenario};

impl Scenario {
    /// Accounts with a week of history and so many new calls an hour in each. The first three are of the three kinds;
    /// more are CoMagic accounts with keys of their own. Whoever connects finds keys, login and password in the scenario.
    pub fn demo(calls_per_hour: f64, accounts: usize) -> Scenario {
        let mut demo: Vec<AccountScenario> = vec![
            AccountScenario {
                name: "okna".into(),
                brand: "comagic".into(),
                app_id: 41_877,
                title: "ООО Окна Пример".into(),
                keys: vec![Key::new("demo-key-of-okna")],
                calls: calls(calls_per_hour),
                ..generous()
            },
            AccountScenario {
                name: "klinika".into(),
                brand: "uis".into(),
                app_id: 52_310,
                title: "Клиника Пример".into(),
                timezone: "Asia/Yekaterinburg".into(),
                login: Some("demo@example.ru".into()),
                password: Some("demo-password".into()),
                calls: calls(calls_per_hour),
                ..generous()
            },
            agency(calls_per_hour),
        ];
        demo.extend((4..=accounts).map(|number| AccountScenario {
            name: format!("shop-{number}"),
            brand: "comagic".into(),
            app_id: 60_000 + number as i64,
            title: format!("Магазин {number}"),
            keys: vec![Key::new(format!("demo-key-of-shop-{number}"))],
            calls: calls(calls_per_hour),
            ..generous()
        }));
        demo.truncate(accounts);
        Scenario { accounts: demo, ..Scenario::default() }
    }
}

fn agency(calls_per_hour: f64) -> AccountScenario {
    let customer = |id: i64, name: &str, timezone: &str, user: i64| CustomerScenario {
        id,
        name: name.into(),
        app_id: id,
        timezone: timezone.into(),
        users: vec![UserScenario { id: user, ..UserScenario::default() }],
        calls: calls(calls_per_hour / 2.0),
        ..CustomerScenario::default()
    };
    AccountScenario {
        name: "agency".into(),
        brand: "comagic".into(),
        app_id: 70_001,
        title: "Агентство Пример".into(),
        keys: vec![Key::new("demo-key-of-agency")],
        customers: vec![
            customer(183_510, "ООО Двери Пример", "Europe/Moscow", 90_211),
            customer(183_511, "ООО Полы Пример", "Asia/Novosibirsk", 90_245),
        ],
        ..generous()
    }
}

/// Enough points that a demo is not spent waiting.
fn generous() -> AccountScenario {
    AccountScenario { limits: Limits::per(600, 100_000), ..AccountScenario::default() }
}

/// Short calls and quick tags, so that there is something to see within a minute.
fn calls(per_hour: f64) -> CallsScenario {
    CallsScenario {
        days: 7.0,
        per_day: 200.0,
        per_hour,
        live_since: Duration::from_mins(5),
        talk: Delay::secs(4, 40),
        records_delay: Delay::secs(5, 20),
        tags: TagHabits {
            share: 0.5,
            delay: Delay::secs(5, 60),
            removed_share: 0.05,
            removed_delay: Delay::secs(10, 60),
        },
        sales: SaleHabits { share: 0.1, delay: Delay::secs(20, 180) },
        ..CallsScenario::default()
    }
}
