# Names that are known on this machine, of rooms, users and cursors; else what can be typed at all.
_rsachat() {
    local before=("${COMP_WORDS[@]:1:COMP_CWORD-1}") typed=$2 quoted= name
    # bash makes words of = and @.
    case $3 in = | @ | =@) before=("${before[@]:0:${#before[@]}-1}") ;; esac
    if [[ ${COMP_WORDS[COMP_CWORD]} == [\'\"]* ]]; then quoted=1; else typed=${typed#\\}; fi
    COMPREPLY=()
    while IFS= read -r name; do
        # A word that begins with # is a comment.
        [[ $quoted || $name != \#* ]] || name="\\$name"
        COMPREPLY+=("$name")
    done < <(rsachat known-names -- "${before[@]}" "$typed" 2>/dev/null </dev/null)
    [[ ${COMPREPLY[*]} ]] || _rsachat_static "$@"
}

