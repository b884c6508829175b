# Installs the OpenClaw Watch agent of this device from the server at @URL@, in a PowerShell run as administrator:
#
#   & ([scriptblock]::Create((irm @URL@/install.ps1))) CODE [NAME]
#
# CODE is the one-time code that the page shows under "Add device". Without a code the agent is only updated.
param([string]$Code = '', [string]$Name = '')

$ErrorActionPreference = 'Stop'
$Url = '@URL@'
# Platform and SHA-256 of every agent that the server has.
$Agents = '@AGENTS@'

function Install-OpenClawWatchAgent {
    $Cpu = if ($env:PROCESSOR_ARCHITECTURE -eq 'ARM64') { 'aarch64' } else { 'x86_64' }
    # Windows on ARM runs the other kind as well.
    $Wanted = @("$Cpu-pc-windows-msvc", "$Cpu-pc-windows-gnu", 'x86_64-pc-windows-msvc', 'x86_64-pc-windows-gnu')
    $There = @{}
    foreach ($Line in ($Agents -split "`n")) {
        $Words = $Line.Trim() -split ' '
        if ($Words.Count -eq 2) { $There[$Words[0]] = $Words[1] }
    }
    $Target = $Wanted | Where-Object { $There.ContainsKey($_) } | Select-Object -First 1
    if (-not $Target) {
        throw "The server at $Url has no agent for this device ($Cpu Windows); it has: $($There.Keys -join ' '). Put one into the server's agents folder."
    }
    $Folder = Join-Path $env:ProgramFiles 'OpenClaw Watch'
    New-Item -ItemType Directory -Force -Path $Folder | Out-Null
    $Agent = Join-Path $Folder 'openclaw-watch-agent.exe'
    $New = "$Agent.new"
    Write-Host "Downloading the agent for $Target"
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    Invoke-WebRequest -UseBasicParsing -Uri "$Url/agent/$Target" -OutFile $New
    $Got = (Get-FileHash -Algorithm SHA256 -Path $New).Hash
    if ($Got -ne $There[$Target]) {
        Remove-Item $New
        throw "The download is not what the server has (SHA-256 $Got, not $($There[$Target])); try again."
    }
    if (Test-Path $Agent) {
        # A program that runs cannot be replaced.
        & $Agent uninstall
    }
    Move-Item -Force $New $Agent
    if ($Code) {
        if ($Name) { & $Agent enroll $Url $Code --name $Name } else { & $Agent enroll $Url $Code }
        if ($LASTEXITCODE -ne 0) { throw 'Enrolling failed.' }
    }
    & $Agent install
    if ($LASTEXITCODE -ne 0) { throw "The agent is in $Folder but could not become a service." }
}

Install-OpenClawWatchAgent
