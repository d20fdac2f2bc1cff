
# Names that are known on this machine, of rooms, users and cursors.
function __fish_rsachat_known
    set -l before (commandline -opc)
    set -e before[1]
    rsachat known-names -- $before (commandline -ct | string trim -c '\'"\\') 2>/dev/null </dev/null
end
complete -c rsachat -a "(__fish_rsachat_known)"
