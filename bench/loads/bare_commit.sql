INSERT INTO bare_commits VALUES (1);
