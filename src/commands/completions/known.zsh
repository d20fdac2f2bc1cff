
# Names that are known on this machine, of rooms, users and cursors; else what can be typed at all.
_rsachat() {
    local -a before known
    before=("${(@Q)words[2,CURRENT-1]}")
    known=("${(@f)$(rsachat known-names -- "${before[@]}" "${(Q)PREFIX}" 2>/dev/null </dev/null)}")
    if [[ -n $known ]]; then
        [[ $PREFIX == --*=* ]] && compset -P 1 '*='
        compadd -a known
    else
        _rsachat_static "$@"
    fi
}
