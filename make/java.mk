# The repository for Spring Session. The service that is tested is the one that CLOAKROOM_BIN names, or else the one that
# was built last.

# What Maven downloads, 50 MB, lies in .tools. Later runs need no network.
mvn = mvn --batch-mode --no-transfer-progress -Dmaven.repo.local=$(CURDIR)/.tools/maven --file clients/spring-session/pom.xml
.PHONY: java-packages

test-java: java-packages ## Tests the repository for Spring Session, with Spring Boot and Spring Security.
	$(mvn) test

soak-java: java-packages ## Sets attributes by thousands of requests at the same time, in the same application.
	CLOAKROOM_TEST_ROUNDS=5000 $(mvn) -Dtest=ApplicationTest test

java-packages:
	@$(call apt,default-jdk-headless maven)
