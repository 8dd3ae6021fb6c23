with builtins;
[
  (compareVersions "1.0" "1.0.1")
  (compareVersions "2.3" "2.3pre")
  (compareVersions "2.3.1" "2.3a")
  (compareVersions "2.3" "2.3")
  (compareVersions "10" "9")
  (compareVersions "1-0" "1.0")
  (compareVersions "20230101123456" "3")
  (splitVersion "1.2.3pre5-x")
  (splitVersion "")
  (map parseDrvName [ "hello-1.2.3" "apache-httpd-2.0-pre1" "no-version" "x-" "-1" ])
]
