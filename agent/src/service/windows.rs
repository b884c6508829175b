//! The service on Windows, which knows services by itself.
//!
//! It runs as the system's own account: OpenClaw's folder is in a user's profile, which no lesser
//! account can read. `install` writes whose profile that is into the settings.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::Context;
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceControl, ServiceControlAccept,
    ServiceErrorControl, ServiceExitCode, ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo,
    ServiceStartType, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};

use super::NAME;
use crate::args::{Args, InstallArgs};
use crate::config::env_file::with_settings;
use crate::config::{Config, StateDir, Surroundings};
use crate::{log, run};

/// How long a stop may take.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Time between two looks at one that stops.
const STOP_LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long Windows waits before it starts the service again after it failed.
const RESTART_AFTER: Duration = Duration::from_secs(5);

/// Installs the service.
pub fn install(
    install: &InstallArgs,
    surroundings: &Surroundings,
    env_file: &Path,
    config: &Config,
) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("this program's own path is not known")?;
    let settings = own_folders(surroundings, env_file, config)?;
    let arguments: Vec<OsString> = vec!["service".into(), "--env-file".into(), env_file.into()];
    if install.dry_run {
        println!("service {NAME}: {} {arguments:?}\n{}: {settings:?}", program.display(), env_file.display());
        return Ok(());
    }
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let text = std::fs::read_to_string(env_file)?;
    std::fs::write(env_file, with_settings(&text, &settings, &[]))
        .with_context(|| format!("cannot write {}", env_file.display()))?;

    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    let info = ServiceInfo {
        name: NAME.into(),
        display_name: "OpenClaw Watch agent".into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program,
        launch_arguments: arguments,
        dependencies: vec![],
        account_name: None,
        account_password: None,
    };
    let access = ServiceAccess::ALL_ACCESS;
    let service = match manager.open_service(NAME, access) {
        Ok(service) => {
            // It is there already: it gets this program and these arguments, and is started anew.
            stop(&service);
            service.change_config(&info).context("the service cannot be changed")?;
            service
        }
        Err(_) => manager.create_service(&info, access).context("the service cannot be made")?,
    };
    service.set_description("Reports this device and the OpenClaw on it to an OpenClaw Watch server")?;
    service.update_failure_actions(ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(Duration::from_secs(24 * 3_600)),
        reboot_msg: None,
        command: None,
        actions: Some(vec![ServiceAction { action_type: ServiceActionType::Restart, delay: RESTART_AFTER }]),
    })?;
    service.set_failure_actions_on_non_crash_failures(true)?;
    let no_arguments: [&str; 0] = [];
    service.start(&no_arguments).context("the service cannot be started")?;
    println!("{NAME} runs now and whenever this device starts. How it is: {NAME} status");
    Ok(())
}

/// Settings that tell the service, which has another profile, where things are in this user's.
fn own_folders(
    surroundings: &Surroundings,
    env_file: &Path,
    config: &Config,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let (given, _) = crate::config::env_file::parse(&std::fs::read_to_string(env_file)?);
    let mut settings = Vec::new();
    if !given.contains_key("OPENCLAW_HOME") {
        let home = surroundings.home().context("there is no USERPROFILE")?;
        settings.push(("OPENCLAW_HOME", text(home)));
    }
    if let StateDir::Usual(path) = &config.state_dir {
        settings.push(("OPENCLAW_WATCH_STATE_DIR", text(path.clone())));
    }
    Ok(settings)
}

fn manager(access: ServiceManagerAccess) -> anyhow::Result<ServiceManager> {
    ServiceManager::local_computer(None::<&str>, access)
        .context("Windows does not give access to its services: use a terminal of an administrator")
}

/// Stops the service and waits for its end: Windows starts none that is still stopping. One that does not run cannot be
/// stopped, and is as good as stopped.
fn stop(service: &Service) {
    let deadline = Instant::now() + STOP_MAX;
    let mut status = service.stop();
    while status.is_ok_and(|status| status.current_state != ServiceState::Stopped)
        && Instant::now() < deadline
    {
        std::thread::sleep(STOP_LOOK_EVERY);
        status = service.query_status();
    }
}

/// Takes the service out.
pub fn uninstall(_: &Surroundings) -> anyhow::Result<()> {
    let manager = manager(ServiceManagerAccess::CONNECT)?;
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE;
    let service =
        manager.open_service(NAME, access).with_context(|| format!("there is no service {NAME}"))?;
    stop(&service);
    service.delete().context("the service cannot be removed")?;
    println!("Removed the service {NAME}.");
    println!("The program, its settings and reports that were not sent are left as they are.");
    Ok(())
}

/// The user that the service runs as: the system's own account, which reads everybody's files.
pub fn runs_as() -> Option<String> {
    None
}

/// The services that are installed: whose each is, and how it is.
pub fn installed(_: &Surroundings) -> Vec<(&'static str, String)> {
    let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT);
    let service = manager.and_then(|manager| manager.open_service(NAME, ServiceAccess::QUERY_STATUS));
    let Ok(service) = service else { return Vec::new() };
    let state = match service.query_status().map(|status| status.current_state) {
        Ok(ServiceState::Running) => "active".to_string(),
        Ok(state) => format!("{state:?}").to_lowercase(),
        Err(error) => format!("unknown: {error}"),
    };
    vec![("service of this device", state)]
}

define_windows_service!(service_entry, service_main);

/// The service itself: Windows calls back, and this returns when it has stopped.
pub fn serve() -> anyhow::Result<()> {
    service_dispatcher::start(NAME, service_entry)
        .context("this command is for Windows' own use; `openclaw-watch-agent run` runs the agent here")
}

fn service_main(_: Vec<OsString>) {
    if let Err(error) = serve_until_stopped() {
        log::warn(format_args!("{error:#}"));
    }
}

fn serve_until_stopped() -> anyhow::Result<()> {
    use clap::Parser;
    let (tell, stopped) = channel();
    let handler = move |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            let _ = tell.send(());
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let handle = service_control_handler::register(NAME, handler)?;
    let status = |state, exit_code| ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: match state {
            ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
            _ => ServiceControlAccept::empty(),
        },
        exit_code: ServiceExitCode::Win32(exit_code),
        checkpoint: 0,
        wait_hint: STOP_MAX,
        process_id: None,
    };
    handle.set_service_status(status(ServiceState::Running, 0))?;
    let config = Config::read(&Args::parse(), &Surroundings::real(), true);
    let config = config.map_err(|faults| anyhow::anyhow!(faults.join("; ")));
    let result = config.and_then(|config| {
        run::run(config, |stop| {
            std::thread::Builder::new().name("stop".into()).spawn(move || {
                let _ = stopped.recv();
                stop();
            })?;
            Ok(())
        })
    });
    // A failure is one for Windows as well: it starts the service again.
    let _ = handle.set_service_status(status(ServiceState::Stopped, u32::from(result.is_err())));
    result
}
