#!/bin/sh
# Deploys what somebody has said yes to: deploy.sh VERSION COMMAND..., as in deploy.sh 1.4 make deploy VERSION=1.4
#
# ROOM says where to ask, APPROVERS whose answer counts, TIMEOUT how long to wait for it. Ends as COMMAND does; if that was not
# run, as rsachat ask: 21 for no, 10 if nobody has answered.
if [ $# -lt 2 ]; then
    echo "usage: deploy.sh VERSION COMMAND..." >&2
    exit 2
fi
version=$1
shift
answer=$(rsachat ask "${ROOM:-#ops}" "deploy $version?" --choices yes,no --from "${APPROVERS:-bob}" --timeout "${TIMEOUT:-10m}")
code=$?
case $code in
0) exec "$@" ;;
21) echo "deploy.sh: $version is not deployed: the answer was $answer" >&2 ;;
10) echo "deploy.sh: $version is not deployed: nobody has answered" >&2 ;;
*) echo "deploy.sh: $version is not deployed: it could not be asked" >&2 ;;
esac
exit "$code"
