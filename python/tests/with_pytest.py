"""For pytest: the fixture is there when the package is installed."""


def test_a_test_gets_a_server_of_its_own(running_server):
    with running_server.client() as client:
        assert client.get('k') is None
        client.set('k', 1)


test_and_another_gets_another = test_a_test_gets_a_server_of_its_own
